"""The Node: puts its parts together, starts and stops them.  What a node does stands in the rooms
beside this file, whose use cases take the parts that they need, never the Node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from dhtstore.dht.service import DhtService
from dhtstore.errors import DutyFailed
from dhtstore.model.contact import Address
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.model.unit import Unit
from dhtstore.net.addresses import advertised, is_wide, own_hosts
from dhtstore.net.ports import Jump
from dhtstore.node.checking.answer import CheckAnswers
from dhtstore.node.checking.audit_answer import AuditAnswers
from dhtstore.node.checking.others import OtherHolders
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.hold import Holder
from dhtstore.node.copies.kept import settle_pending
from dhtstore.node.copies.relaying.serve_coming import ComingServer
from dhtstore.node.copies.relaying.upstream import NamedHolders
from dhtstore.node.copies.serve_blocks import BlockServer
from dhtstore.node.duties.collecting import Collecting
from dhtstore.node.duties.keep_records import KeepRecords
from dhtstore.node.duties.keep_sequence import KeepSequence
from dhtstore.node.duties.lasting import lasting
from dhtstore.node.duties.leaving.handing_over import HandingOver
from dhtstore.node.duties.leaving.leaving import Leaving
from dhtstore.node.duties.owning.own_puts import OwnPuts
from dhtstore.node.duties.presences import Presences
from dhtstore.node.duties.readdress import Readdress
from dhtstore.node.duties.repairing.auditing_back import AuditBack
from dhtstore.node.duties.repairing.building import repair_of
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.duties.rot import Rot
from dhtstore.node.duties.save_peers import SavePeers
from dhtstore.node.duties.stocktaking import Stocktaking
from dhtstore.node.duties.tell_peers import TellPeers
from dhtstore.node.duties.twins import Twins
from dhtstore.node.flows.join import Joined, Trust, join
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.giving_up import GivingUp
from dhtstore.node.keeping.offered_room import OfferedRoom
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.links.link import Handler
from dhtstore.node.links.pool import Links
from dhtstore.node.policies.parts import Policies
from dhtstore.node.policies.telling import TellHolders
from dhtstore.node.policies.telling_later import TellLater
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.node.scrubbing.mending import Mending
from dhtstore.node.scrubbing.scrub import Scrub
from dhtstore.node.traffic.timetable import Timetable
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.node.use_cases import UseCases
from dhtstore.node.warnings import Warnings
from dhtstore.replication.admission import Admission
from dhtstore.store.ledger.tiers.untold import Untold
from dhtstore.tasks import Supervisor
from dhtstore.transfer.priority import Priority
from dhtstore.wire.frames import Audit, Check, FrameRequest, GetBlocks, GetComing, Reroute, Rule


class Node(UseCases):
    """One running node.  ``start`` it, use it, ``stop`` it; a stopped node is not started again."""

    def __init__(self, ports: Ports, settings: NodeSettings) -> None:
        self.ports, self.settings = ports, settings
        self.identity = Identity(ports.crypto, ports.clock, settings, self.addresses)
        self.disk = disk = _disk(self)
        self.ledger = ledger = Ledger.of(ports.ledger, ports.tracer, self.identity.owner)
        identity, clock, tracer = self.identity, ports.clock, ports.tracer
        self.public_key: PublicKey = self.identity.public_key
        self.node_id: NodeId = self.identity.node
        # What serves others: a failure costs one peer.
        self.supervisor = supervisor = Supervisor(ports.tracer)
        self.duties = Supervisor(ports.tracer, self._duty_failed)  # what must not end
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.warnings = warnings = Warnings(ports.tracer)
        self.collector = Collector(disk, ledger, clock, warnings)
        self.running = self.collector.overdue.running
        self.staging = Staging(self.collector, warnings, keeps_all=settings.storage)
        self.joined = asyncio.Event()
        self.traffic, limits = Traffic(), (settings.limit_up, settings.limit_down)
        self.timetable = Timetable(self.traffic, clock, *limits)
        self.started_s = ports.clock.monotonic_s()
        self.dht = _dht(self)
        self.collector.overdue.ahead_s = self.dht.clock_ahead_s
        self.collector.overdue.asks = not settings.ephemeral
        rule = admission_of(identity, settings)
        self.holder = Holder(identity, disk, ledger, clock, tracer, rule, self.traffic)
        self.holder.brings = self.staging.bringing
        self.holder.room = OfferedRoom(disk, supervisor).made
        self.completeness = Completeness(disk, ledger, ports.tracer, identity.node)
        announced = identity, disk, self.dht, clock, ports.entropy, tracer
        self.reprovide = Reprovide(*announced, self.joined, self.completeness, warnings)
        self.holder.granted = self.reprovide.again_soon
        self.kept_no_more = KeptNoMore(identity, self.completeness, self.dht, supervisor, tracer)
        self.collector.overdue.ended = self.kept_no_more.ended
        self.policies = _policies(self)
        self.running.lives = lambda: self.policies.renewal.note(self.dht.rpc.calls.heard_s)
        self.holder.wanted = OtherHolders(self.checker, self.policies.book.newest).check
        self.rot = _rot(self)
        self._collecting = Collecting(self.collector, _giving_up(self))
        self.scrub = Scrub(identity, disk, ledger.scrubbed, clock, warnings, self.rot.found)
        self.blocks = BlockServer(
            disk, self.staging.may_show, self.rot.rotten, self.rot.found, self.traffic.up
        )
        self.audits = _audits(self)
        self.links = _links(self)
        self.holder.relays.meets = NamedHolders(self.links, self.public_key, clock).to
        self._twins = Twins(self.identity, self.dht, self.links, self.warnings)
        self.reach, self.presences = Reach(self.dht, self.links), _presences(self)
        self.tell_later = _tell_later(self)
        self.repair = repair_of(self, warnings, self.joined, lambda one: self.own_puts.seen(one))
        self.own_puts = OwnPuts(identity, self.repair.fellows, self.checker, self.joined)
        self.leaving = _leaving(self)
        self.holder.leaving = lambda: self.leaving.active
        self._keep_sequence = KeepSequence(identity, ledger.sequence, ports.blocking, self.warnings)
        self._save_peers = SavePeers(self.dht, ledger.peers, ports.blocking, clock, self.warnings)
        self._keep_records = KeepRecords(
            self.dht.shelf, ledger.records, ports.blocking, self.warnings
        )
        self._readdress = Readdress(identity, self.dht, self.reprovide, ports.interfaces, tracer)

    async def start(self) -> None:
        """Open the sockets and serve; raises AddressInUse.  Entering a network is ``join``."""
        await self.collector.lost.begin()
        if not self.settings.ephemeral:
            await self._keep_sequence.begin()
        if self.settings.storage:
            await self.disk.blocking.run(settle_pending, self.ledger.claims, self.disk.store)
        await self.running.begin()
        await self.leaving.begin()
        await self.disk.blocking.run(self.removing().ending.resume)
        await self._collecting.begin()
        await self.rot.begin()
        await self.dht.start()
        await self.links.listen(self.ports.endpoint.local.port, self.duties)
        self.ports.clock.watch(self._time_jumped, self.duties)
        self.duties.spawn_duty(self.timetable.run(), "limits")
        self.supervisor.spawn(self.staging.drop(), "drop-staging")
        if not self.settings.ephemeral:
            self.duties.spawn_duty(self._keep_sequence.run(), "keep-sequence")
            self._spawn_lasting("rot", self.rot.run)
            self.duties.spawn_duty(self.running.run(), "running")
            self._spawn_lasting("collect", self._collecting.run)
            self._spawn_lasting("reprovide", self.reprovide.run)
            stocktaking = Stocktaking(self.identity, self.completeness, self.rot.look)
            self.supervisor.spawn(stocktaking.run(), "stocktaking")
            self._spawn_lasting("scrub", self.scrub.run)
            self._spawn_lasting("presences", self.presences.run)
            if self.settings.storage:
                for name, work in _duties_of_holders(self).items():
                    self._spawn_lasting(name, work)
            self._spawn_lasting("policies", self.policies.renewal.run)
            self._spawn_lasting("tell-later", self.tell_later.run)
            self.duties.spawn_duty(self._save_peers.run(), "save-peers")
            self.duties.spawn_duty(self._keep_records.run(), "keep-records")
            self.duties.spawn_duty(TellPeers(self.dht, self.ports.tracer).run(), "tell-peers")
            self.duties.spawn_duty(self._twins.run(), "twins")
            if self.roams:
                self._spawn_lasting("readdress", self._readdress.run)

    def _spawn_lasting(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self.duties.spawn_duty(lasting(name, work, self.warnings, self.ports.clock), name)

    async def join(self, seeds: Sequence[str], trust: Trust | None = None) -> Joined:
        """Enter a network, or start one without seeds; raises as ``flows.join.join``."""
        joined = await join(
            self.disk,
            self.ledger,
            self.identity,
            self.ports.endpoint.local,
            self.reach,
            seeds,
            trust or Trust(),
        )
        await self.save_peers()  # a node that is killed now must find its network again
        if joined.answered and not self.settings.ephemeral:
            self.supervisor.spawn(self._look_and_announce(), "look-for-twins")
        else:
            self.joined.set()
        return joined

    async def _look_and_announce(self) -> None:
        """What others hold of this key is looked up before they hold what is announced now."""
        try:
            places = await self._twins.elsewhere()
            await self.policies.renewal.catch_up()
        finally:
            self.joined.set()
        await self._twins.ask(places)

    def _healed(self) -> None:
        """Rotten blocks were replaced by whole ones."""
        self.rot.healed()
        self.collector.healed()

    async def stop(self) -> None:
        """Stop serving, end every task and close the stores.  Each step is taken, whatever those
        before it raised; the last error is raised then."""
        blocking = self.ports.blocking
        async with AsyncExitStack() as steps:  # taken from the last to the first
            steps.push_async_callback(blocking.close)
            steps.push_async_callback(blocking.run, self.ports.ledger.close)
            steps.push_async_callback(blocking.run, self.ports.store.close)
            steps.push_async_callback(self._keep_sequence.end)
            steps.push_async_callback(self._end_running)
            steps.push_async_callback(self.dht.stop)
            steps.push_async_callback(self.save_peers)
            steps.push_async_callback(self._keep_records.save)
            steps.push_async_callback(self.links.close)
            steps.push_async_callback(self.supervisor.close)
            steps.push_async_callback(self.duties.close)

    async def _end_running(self) -> None:
        if not self.settings.ephemeral:
            await self.running.save()

    def _time_jumped(self, jump: Jump) -> None:
        """The machine was asleep or its wall clock was set: what is due now is done now."""
        self.ports.tracer("clock.jumped", asleep_s=jump.asleep_s, set_s=jump.set_s)
        self.links.time_jumped(jump.asleep_s)
        self.dht.time_jumped()
        self.timetable.look()
        self.running.clock_set(jump.set_s)
        self.supervisor.spawn(self.policies.back(jump, self.reprovide.time_jumped), "policies")
        self._save_peers.time_jumped()

    def _duty_failed(self, name: str, error: BaseException) -> None:
        """A node that no longer does its duties must not look healthy: whoever runs it waits
        for ``failed``, which raises here what went wrong."""
        if not self.failed.done():
            self.failed.set_exception(DutyFailed(f"{name} ended: {error!r}"))
            self.failed.exception()  # seen: the tracer has told it already

    @property
    def roams(self) -> bool:
        """Whether what others are told follows the addresses of the machine."""
        return not self.settings.advertise and is_wide(self.ports.endpoint.local)

    def addresses(self) -> tuple[Address, ...]:
        """What others are told: the operator's choice, else what the socket is bound to."""
        if self.settings.advertise:
            return self.settings.advertise
        return advertised(self.ports.endpoint.local, self.ports.interfaces.hosts())

    async def save_peers(self) -> None:
        """Write down whom this node knows, for its next start; an ephemeral one has none."""
        if not self.settings.ephemeral:
            await self._save_peers.save()


def _dht(node: Node) -> DhtService:
    ports, settings = node.ports, node.settings
    return DhtService(
        network=settings.network,
        crypto=ports.crypto,
        clock=ports.clock,
        entropy=ports.entropy,
        endpoint=ports.endpoint,
        tracer=ports.tracer,
        duties=node.duties,
        own=node.identity,
        storage_node=settings.storage,
        ephemeral=settings.ephemeral,
        paths=settings.lookup_paths,
    )


def _duties_of_holders(node: Node) -> Mapping[str, Callable[[], Coroutine[Any, Any, object]]]:
    moving = node.rebalance().run
    return {"repair": node.repair.run, "own-puts": node.own_puts.run, "rebalance": moving}


def _links(node: Node) -> Links:
    ports = node.ports
    return Links(
        network=node.settings.network,
        crypto=ports.crypto,
        entropy=ports.entropy,
        clock=ports.clock,
        transport=ports.streams,
        own_record=node.identity.record,
        handlers=_handlers(node),
        tracer=ports.tracer,
        supervisor=node.supervisor,
        on_ended=node.holder.link_ended,
        on_own_key=lambda record: node._twins.met(record),
        on_wrong=node.rot.reported,
        traffic=node.traffic,
        own_hosts=lambda: own_hosts(ports.endpoint.local, node.addresses(), ports.interfaces.hosts),
    )


def _tell_later(node: Node) -> TellLater:
    telling = TellHolders(node.identity, node.disk, node.ledger, node.reach)
    return TellLater(node.policies.book, telling, Untold(node.ledger.table), node.joined)


def _presences(node: Node) -> Presences:
    parts = node.dht, node.ports.clock, node.ports.blocking, node.ledger.seen
    return Presences(*parts, lambda: node.repair.fellows.heard_ago())


def _policies(node: Node) -> Policies:
    parts = node.identity, node.disk, node.ledger, node.ports, node.dht.policies
    tasks, ended, left = node.supervisor, node.kept_no_more.ended, node.collector.left
    return Policies.of(*parts, tasks, node.joined, ended, left)


def _leaving(node: Node) -> Leaving:
    told = node.reprovide
    handing = HandingOver(node.repair, node.kept_no_more, told.quiet, node.staging)
    arrived = node.holder.offers.settled
    return Leaving(handing, arrived, told.readdressed, node.ledger.leaving, node.warnings)


def _rot(node: Node) -> Rot:
    complete, session = node.completeness, partial(node.fetch_session, Priority.BACKGROUND)
    return Rot(
        node.identity,
        complete,
        node.dht,
        node.ports.clock,
        node.warnings,
        node.supervisor,
        node.reprovide,
        Mending(complete, session, node.ports.tracer).mend,
        node.joined,
    )


def _giving_up(node: Node) -> GivingUp:
    async def in_vain(unit: Unit) -> bool:
        """Where nobody else is there to give it, nobody was asked."""
        others = node.joined.is_set() and node.dht.contacts()
        return bool(others) and not await node.rot.mend(unit)

    parts = node.disk, node.ledger, node.running, node.warnings, node.ports.tracer
    return GivingUp(*parts, node.rot.look, in_vain)


def admission_of(identity: Identity, chosen: NodeSettings) -> Admission | None:
    """Whose data this disk takes; None on a client."""
    if not chosen.storage:
        return None
    owner, quota_bytes = identity.owner, chosen.owner_quota_bytes
    sizes = quota_bytes, chosen.capacity_bytes, chosen.donated_bytes
    return Admission(chosen.accept, owner, chosen.owners, *sizes)


def _disk(node: Node) -> Disk:
    """What it tells, and asks for room, are parts that take it."""
    return Disk(
        node.ports.store,
        node.ports.blocking,
        lambda new: node.rot.renewed(new),
        lambda: node._healed(),
        lambda size_bytes: node.collector.make_room(size_bytes),
        lambda cid: node.rot.found(cid),
    )


def _audits(node: Node) -> AuditAnswers:
    return AuditAnswers(
        node.identity,
        node.completeness,
        node.ports.clock,
        node.staging.may_show,
        AuditBack(lambda: node.repair, node.supervisor, node.ports.clock).asked,
        lambda: node.leaving.active,
        lambda unit: unit in node.repair.letting_go.going,
    )


def _handlers(node: Node) -> Mapping[type[FrameRequest], Handler]:
    """What peers may ask, and who answers."""
    may_know, clock = node.staging.may_show, node.ports.clock
    checks = CheckAnswers(
        node.identity,
        node.completeness,
        clock,
        may_know,
        lambda: node.leaving.active,
        lambda unit: unit in node.repair.letting_go.going,
    )
    return {
        GetBlocks: node.blocks.serve,
        GetComing: ComingServer(node.blocks, node.holder.relays).serve,
        Reroute: node.holder.relays.on_reroute,
        Check: checks.on_check,
        Audit: node.audits.on_audit,
        Rule: node.policies.answers.on_rule,
        **node.holder.handlers(),
    }
