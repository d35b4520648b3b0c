"""Put: a source becomes a CID with R verified copies.

data path: source -> blocks in the store, or lent where they do not fit -> units -> own copy ->
copies on peers -> receipts -> provider records -> the policy, to all who do not know it -> pin =>
CID.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dhtstore.config import counted
from dhtstore.content.dag.local import Leaves, cutting
from dhtstore.content.dag.units import Lineage
from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import HomeUnusable, NoRoom, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.contact import subnet
from dhtstore.model.identity import NodeId
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger, in_steps
from dhtstore.node.copies.acknowledge import SignedCopy, acknowledge
from dhtstore.node.copies.own_copy import own_claim
from dhtstore.node.copies.place import Placer
from dhtstore.node.copies.placed import CopyReport, PlacedUnit
from dhtstore.node.flows.bring import Bringing, Brought
from dhtstore.node.flows.copy_meter import CopyMeter, PutMeter
from dhtstore.node.identity import Identity
from dhtstore.node.importing.batch import Imported
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.source import Source
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.policies.book import PolicyBook
from dhtstore.node.ports import NodeSettings
from dhtstore.node.put_outcome import PutOutcome, check_result, told_causes, told_reports
from dhtstore.node.telling.placement import PlacementRecord, PutTimes
from dhtstore.operations.operation import Watch
from dhtstore.params import PUT_NAME_MAX_CHARS, REPLICAS_MAX
from dhtstore.replication.placement import Placement
from dhtstore.replication.quorum import Quorum
from dhtstore.replication.ranking import Domain
from dhtstore.store.ledger.puts import PutRecord

_Made = Sequence[Sequence[SignedCopy]]  # unit by unit
STDIN_NAME: Final = "-"  # what a put of standard input is called, which is no name


@dataclass(frozen=True, slots=True)
class _Work:
    """What is put, cut into ``units``."""

    brought: Brought
    name: str
    policy: Policy
    earlier: Policy | None
    lineages: Sequence[Lineage]
    times: PutTimes

    @property
    def imported(self) -> Imported:
        return self.brought.imported

    @property
    def units(self) -> list[Unit]:
        return [each.unit for each in self.lineages]

    def record(self, now_unix_s: float) -> PutRecord:
        return PutRecord(
            name=self.name,
            root=self.imported.cid.raw,
            size_bytes=self.imported.size_bytes,
            created_unix_s=now_unix_s,
            policy=self.policy,
            units=len(self.units),
        )


@dataclass(frozen=True, slots=True)
class _Called:
    """A name of what is put, and whether the user chose it."""

    name: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class _Counts:
    """What was asked for; None for what was not."""

    replicas: int | None
    min_acks: int | None
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Uploader:
    """The putting side of one node.  ``again_soon`` has a unit announced that is kept here and
    that no index node was told of; ``spread`` is told of the policy, of the one before it and of
    all units, once somebody holds something.  While it is ``leaving`` this node is none of those
    that hold it."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    placer: Placer
    bringing: Bringing
    staging: Staging
    settings: NodeSettings
    clock: Clock
    book: PolicyBook
    again_soon: Callable[[Unit], None]
    spread: Callable[[Policy, Policy | None, Sequence[Unit]], None]
    leaving: Callable[[], bool] = lambda: False

    async def put(
        self,
        source: Source,
        *,
        name: str,
        replicas: int | None,
        min_acks: int | None,
        ttl_s: float | None = None,
        progress: Watch,
        manner: Manner | None = None,
        named: bool = True,
        cut_short: list[CopyReport] | None = None,
    ) -> PutOutcome:
        """Store ``source`` with the given policy (defaults: for ``replicas`` as an earlier put of
        the same, else the node's setting; for ``min_acks`` that setting, else 2).  ``manner`` is
        how it is read: None refuses what cannot all be stored.  Unless it was ``named``, what an
        earlier put of the same was called comes before ``name``.

        Raises UsageError (counts or a name that cannot be), UnreadableSource, SourceChanged, NoRoom
        or HomeUnusable (nothing was announced, or it names what others hold), QuorumNotReached with
        the PutOutcome as ``partial`` when fewer than ``min_acks`` copies have receipts,
        NotAnnounced, with the same, when nobody could be told of them, PartlyStored, with the same,
        when something was skipped and nothing else is to be said, and what ``progress`` raises.
        Cut short once there are copies, it still writes down the put and their receipts; what
        became of whom until then is in ``cut_short``.
        """
        _check_counts(replicas or self.settings.replicas, min_acks)
        if named and len(name) > PUT_NAME_MAX_CHARS:
            raise UsageError(f"a name of more than {PUT_NAME_MAX_CHARS} characters").hinted(
                "give it a shorter one with --name"
            )
        meter = PutMeter(progress)
        manner = manner or Manner()
        called, asked = _Called(name, named), _Counts(replicas, min_acks, ttl_s)
        try:
            work, placed = await self._copied(source, called, asked, meter, manner)
        except BaseException:
            meter.cut_short()
            if cut_short is not None:
                cut_short += meter.reports
            raise
        quorum = Quorum.of(work.policy.replicas, min_acks, self.settings.min_acks)
        result = replace(
            _result(work, placed, quorum),
            skipped=manner.skipped,
            skipped_count=manner.skipped_count,
            replicas_kept=not replicas and work.policy.replicas != self.settings.replicas,
            name_kept=work.name if work.name != called.name else "",
        )
        check_result(result, placed, quorum, self.placer.dht.clock_ahead_s())
        return result

    async def _copied(
        self, source: Source, called: _Called, asked: _Counts, meter: PutMeter, manner: Manner
    ) -> tuple[_Work, list[PlacedUnit]]:
        bringing = self.bringing.bring(source, meter, manner)
        began_s = self.clock.monotonic_s()
        times = PutTimes(lambda: self.clock.monotonic_s() - began_s)
        async with self.staging.for_user(), bringing as brought:
            imported, run = brought.imported, self.disk.blocking.run
            kept = self._keeps(brought)
            if not brought.kept:
                self.staging.collector.left()  # what was written before the room ended
            meter.imported(imported.size_bytes, kept=kept)
            if not kept:  # else the own copy is written down before there is any other
                await run(self.ledger.puts.check_room)
            earlier = await self.book.known(imported.cid)
            policy = self._policy(imported.cid, earlier, asked)
            steps = cutting(brought.blocks, imported.cid)
            lineages = await in_steps(self.disk.blocking, self.clock, steps, lambda: None)
            name = await run(self._name, imported.cid, called)
            times.spent("reading and writing here", 0.0)
            work = _Work(brought, name, policy, earlier, lineages, times)
            with self.staging.named(imported.cid):
                return work, await self._place_all(work, meter)

    def _name(self, root: Cid, called: _Called) -> str:
        """What the put is written down as."""
        record = None if called.chosen else self.ledger.puts.get(root)
        earlier = "" if record is None or record.name == STDIN_NAME else record.name
        return earlier or called.name

    def _policy(self, root: Cid, earlier: Policy | None, asked: _Counts) -> Policy:
        """As many copies as ``earlier`` wanted unless others were asked for.  Raises UsageError."""
        before = earlier.replicas if earlier and not earlier.removed else 0
        wanted = asked.replicas or before or self.settings.replicas
        _check_counts(wanted, asked.min_acks)
        expires = int(self.clock.unix_s() + asked.ttl_s) if asked.ttl_s else 0
        return self.book.signed(root, earlier, replicas=wanted, expires=expires)

    # --- copies -----------------------------------------------------------------------------

    async def _place_all(self, work: _Work, all_of_it: PutMeter) -> list[PlacedUnit]:
        """Place every unit and write down what came of it.  One unit after the other: bounds what
        holders must reserve at once."""
        elsewhere = work.policy.replicas - self._keeps(work.brought)
        meter = CopyMeter(all_of_it.sink, work.imported.size_bytes * elsewhere)
        placed: list[PlacedUnit] = []
        made: list[list[SignedCopy]] = []
        run = self.disk.blocking.run
        try:
            for lineage in work.lineages:
                await self._place(lineage, work, meter, made, placed)
                meter.unit_done()
            if any(made):  # else nothing is stored anywhere, and what was put before stands
                await self._known_from_now(work, made, placed)
            await run(self._pin, work)
        except BaseException:
            others = [[NodeId(each.receipt.node) for each in copies] for copies in made]
            all_of_it.signed(others, but=self.identity.node)
            all_of_it.begun(placed)
            if any(made):  # somebody holds them, whatever becomes of this
                await self._known_from_now(work, made, placed)
            raise
        meter.check()
        return placed

    async def _place(
        self,
        lineage: Lineage,
        work: _Work,
        meter: CopyMeter,
        made: list[list[SignedCopy]],
        placed: list[PlacedUnit],
    ) -> None:
        """The copies of the unit become the last of ``made``, one by one; what becomes of it, also
        where this is cut short, the last of ``placed``."""
        unit, policy, keeps = lineage.unit, work.policy, self._keeps(work.brought)
        copies: list[SignedCopy] = []
        made.append(copies)
        leaves = Leaves.PRESENT if keeps else Leaves.NAMED
        claim = await own_claim(self.disk, unit, policy, leaves, work.brought.blocks)
        claim = replace(claim, grant=self.identity.grant(claim))
        domain = None
        if keeps:
            copies.append(await acknowledge(self.identity, self.disk, self.ledger, claim))
            domain = _own_domain(self.identity, self.settings)
        plan = Placement(unit.key, policy.replicas, self.identity.node, domain)
        told = PlacementRecord(work.times)
        published: Sequence[Published] = ()
        try:
            async with self.bringing.unchanged(work.brought):
                plan = await self.placer.place(plan, lineage, claim, meter.advance, copies, told)
            if copies:
                publishing = self.placer.publish(unit, copies)
                published = await work.times.timed("announcing", publishing)
        except BaseException:
            nobody_told = [Published(0, {})] * len(copies)
            placed.append(PlacedUnit(unit, told.plan or plan, copies, nobody_told, told))
            raise
        if keeps and not published[0].holders:
            self.again_soon(unit)
        placed.append(PlacedUnit(unit, plan, copies, published, told))

    def _keeps(self, brought: Brought) -> bool:
        """Whether this node holds a copy itself."""
        return self.settings.storage and brought.kept and not self.leaving()

    async def _known_from_now(self, work: _Work, made: _Made, placed: Sequence[PlacedUnit]) -> None:
        """Others hold it from now on, also where that cannot be written down."""
        try:
            await self.disk.blocking.run(self._remember, work, made, placed)
        except (NoRoom, HomeUnusable) as error:
            raise _not_written_down(work, error) from error
        finally:
            self.spread(work.policy, work.earlier, work.units)

    def _remember(self, work: _Work, made: _Made, placed: Sequence[PlacedUnit]) -> None:
        record = work.record(self.clock.unix_s())
        self.ledger.claims.update(work.policy, anyway=True)
        self.ledger.puts.save(record, work.units)
        self.ledger.receipts.save(copy.receipt for each in made for copy in each)
        for each in placed:
            self.ledger.places.save(each.holder_places())

    def _pin(self, work: _Work) -> None:
        if self._keeps(work.brought):
            self.ledger.pins.add(work.imported.cid, work.name, "put", work.units)
            self.ledger.cache.kept(work.imported.cid)


def _not_written_down(work: _Work, error: NoRoom | HomeUnusable) -> NoRoom | HomeUnusable:
    """Whoever put it is to know what others keep from now on."""
    cid = work.imported.cid
    hint = (
        f"put it again once there is room: nothing is sent twice; `dhtstore rm {cid}` ends the"
        " copies instead"
    )
    return type(error)(f"copies of {cid} were made and cannot be listed: {error}").hinted(hint)


def _own_domain(identity: Identity, settings: NodeSettings) -> Domain:
    """The failure domain of our own copy, as that of a candidate is told."""
    return Domain(subnet(identity.addresses()[0]), settings.domain)


def _check_counts(wanted: int, min_acks: int | None) -> None:
    if not 1 <= wanted <= REPLICAS_MAX:
        raise UsageError(f"{wanted} replicas is outside 1 to {REPLICAS_MAX}")
    if min_acks is not None and not 0 <= min_acks <= wanted:
        raise UsageError(f"--min-acks {min_acks} can't be had from {counted(wanted, 'replica')}")


def _result(work: _Work, placed: Sequence[PlacedUnit], quorum: Quorum) -> PutOutcome:
    brought = work.brought
    places = {place for each in placed for place in each.places}
    reports, untold = told_reports(placed)
    return PutOutcome(
        cid=brought.imported.cid,
        size_bytes=brought.imported.size_bytes,
        replicas=work.policy.replicas,
        min_acks=quorum.copies,
        copies=min(len(each.copies) for each in placed),
        receipts=[copy.receipt for each in placed for copy in each.copies],
        causes=told_causes(placed),
        reports=reports,
        untold=untold,
        lent=not brought.kept,
        phases=dict(work.times.phases),
        hosts=len({place.host for place in places}),
        subnets=len({subnet(place) for place in places}),
    )
