"""The duty is put together of the parts of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from dhtstore.dht.service import DhtService
from dhtstore.model.contact import subnet
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import HolderChecks
from dhtstore.node.checking.audit_ask import Auditor
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.place import Placer
from dhtstore.node.copies.serve_blocks import BlockServer
from dhtstore.node.duties.presences import Presences
from dhtstore.node.duties.repairing.acting import Acting
from dhtstore.node.duties.repairing.asking import Asking
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.duties.repairing.inheriting.heirs import Heirs
from dhtstore.node.duties.repairing.noting.budget import Budget
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.duties.repairing.presence import OwnPresence
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.repairing.told import CopyNews
from dhtstore.node.duties.repairing.trimming.letting_go import LettingGo
from dhtstore.node.duties.repairing.units import Units
from dhtstore.node.duties.repairing.watching import Judge, Watched
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.ending.running import RunTime
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.links.pool import Links
from dhtstore.node.policies.outdated import LookUpOutdated
from dhtstore.node.policies.parts import Policies
from dhtstore.node.policies.telling import TellHolders
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.node.warnings import Warnings
from dhtstore.replication.ranking import Domain
from dhtstore.store.ledger.health.own_times import OwnTimes
from dhtstore.tasks import Supervisor
from dhtstore.transfer.priority import Priority


class AnnouncingSoon(Protocol):
    """As much of announcing as the duty needs."""

    def again_soon(self, unit: Unit) -> None: ...


class RepairParts(Protocol):
    """As much of a node as the duty is made of."""

    ports: Ports
    settings: NodeSettings
    identity: Identity
    disk: Disk
    ledger: Ledger
    supervisor: Supervisor
    collector: Collector
    running: RunTime
    kept_no_more: KeptNoMore
    policies: Policies
    dht: DhtService
    completeness: Completeness
    blocks: BlockServer
    links: Links
    reach: Reach
    presences: Presences

    @property
    def reprovide(self) -> AnnouncingSoon: ...

    def checker(self) -> HolderChecks: ...

    def fetch_session(self, priority: Priority = ...) -> FetchSession: ...


def repair_of(
    node: RepairParts, warnings: Warnings, joined: asyncio.Event, seen: Callable[[Watched], None]
) -> Repair:
    """Of a storage node.  ``seen`` as ``Judge`` has it."""
    ports, ledger = node.ports, node.ledger
    clock, blocking, periods = ports.clock, ports.blocking, node.settings.periods
    proved_ago_s = node.dht.rpc.keeper.proved_ago_s
    notes = Notes(blocking, warnings)
    fellows = KnownFellows(node.dht, proved_ago_s, clock, blocking, ledger.fellows, notes, periods)
    times = OwnTimes(ledger.table, ports.tracer)
    here = OwnPresence(clock, notes, times, node.running.total_s, periods)
    judge = Judge(node.identity, fellows, periods, seen, lambda: here.away)
    auditor = Auditor(node.identity, node.completeness, node.links, clock, ports.entropy)
    rng = ports.entropy.rng
    untold = node.reprovide.again_soon
    asking = Asking(node.identity, node.reach, auditor, fellows, judge, periods, rng, untold)
    units = Units(node.identity, node.completeness, ledger.holders)
    acting = _acting(node, fellows, judge)
    heirs = Heirs(acting, node.checker, ledger.holders, notes)
    told = CopyNews(ledger.events, notes, clock, ports.tracer)
    return Repair(
        node.identity,
        node.completeness,
        units,
        fellows,
        judge,
        asking,
        acting,
        heirs,
        LettingGo(node.identity, units, judge, asking, acting, heirs, told),
        Budget(clock, notes, ledger.spent, lambda: node.settings.repair_day_bytes),
        here,
        told,
        notes,
        warnings,
        periods,
        rng.random(),
        joined,
    )


def _acting(node: RepairParts, fellows: KnownFellows, judge: Judge) -> Acting:
    def domain() -> Domain:
        return Domain(subnet(node.identity.addresses()[0]), node.settings.domain)

    return Acting(
        node.identity,
        node.disk,
        node.ledger,
        Placer(
            node.identity,
            node.dht,
            node.links,
            node.supervisor,
            node.ports.tracer,
            merits=node.presences.merits,
            told_room=node.presences.told_room,
        ),
        node.blocks.lending,
        fellows,
        judge,
        partial(node.fetch_session, Priority.BACKGROUND),
        node.kept_no_more.ended,
        node.collector.left,
        domain,
        LookUpOutdated(node.policies.book.newest, node.ports.clock),
        TellHolders(node.identity, node.disk, node.ledger, node.reach),
    )
