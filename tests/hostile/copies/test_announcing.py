"""Who has many units here keeps nobody else's records waiting, the node's own least of all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.core.sweeping.seen import SeenNodes
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.announcing import lines
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.params import REPLICAS_MAX, REPROVIDE_PAUSE_S, SWEPT_AT_ONCE
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.tasks import Supervisor
from dhtstore.trace import no_trace
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy

PROVIDE_S: Final = 0.5
CROWDED: Final = "192.0.2.0/24"
MANY: Final = 200
STRANGER: Final = b"s" * 32


@dataclass(slots=True)
class Index:
    """Index nodes that need a while to be told; ``deaf`` to some keys."""

    loop: VirtualLoop
    began: list[tuple[float, DhtKey]] = field(default_factory=list)
    deaf: set[DhtKey] = field(default_factory=set)
    lookups: int = 0
    most_at_once: int = 0

    async def publish_contact(self, timeout_s: float) -> int:
        return 1

    async def explore(self, key: DhtKey, *, timeout_s: float) -> SeenNodes:
        self.lookups += 1
        return SeenNodes(self.loop.time()).looked_up().everywhere()

    async def provide_many(
        self, seen: SeenNodes, keys: Sequence[DhtKey], *, timeout_s: float
    ) -> tuple[list[Published], SeenNodes]:
        self.began += [(self.loop.time(), key) for key in keys]
        self.most_at_once = max(self.most_at_once, len(keys))
        await asyncio.sleep(PROVIDE_S)
        return [Published(int(key not in self.deaf), {}) for key in keys], seen

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> list[Published]:
        raise AssertionError("nothing here is announced by itself")


class Holder:
    """Keeps MANY units that a crowded origin brought, and few of others."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.index, self.tasks = Index(self.loop), Supervisor()
        crypto, clock = SimCrypto(b"node", b"node"), SimClock(self.loop)
        identity = Identity(crypto, clock, NodeSettings(), lambda: (Address("10.0.0.1", 7400),))
        self.owner = bytes(identity.owner)
        self.ledger = Ledger.of(MemoryKeyValue(), no_trace, self.owner)
        self.store, self.numbers = MemoryBlockStore(), itertools.count()
        disk, joined = Disk(self.store, InlineBlocking()), asyncio.Event()
        joined.set()
        self.completeness = Completeness(disk, self.ledger, no_trace)
        self.duty = Reprovide(
            identity,
            disk,
            self.index,
            clock,
            SimEntropy(1, "node"),
            no_trace,
            joined,
            self.completeness,
        )
        self.crowd = [self.claimed(STRANGER, CROWDED) for _ in range(MANY)]

    def stored(self) -> Unit:
        data = b"%d" % next(self.numbers)
        with self.store.batch() as batch:
            batch.put(Cid.of(data), data)
            batch.commit()
        return Unit.of((Cid.of(data),), len(data))

    def claimed(self, owner: bytes, origin: str) -> Unit:
        unit = self.stored()
        self.ledger.claims.put(claim(unit, owner, origin))
        return unit

    def pinned(self) -> Unit:
        unit = self.stored()
        self.ledger.pins.add(unit.roots[0], "by hand", "user", [unit])
        return unit

    def told(self, units: Sequence[Unit]) -> Iterator[int]:
        """At which place in the line of all that is announced."""
        keys = [key for _, key in self.index.began]
        return (keys.index(unit.key) for unit in units)

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                await scene()
            finally:
                await self.tasks.close()

        run(main(), self.loop)


def claim(unit: Unit, owner: bytes, origin: str, *, replicas: int = 3) -> Claim:
    root = unit.roots[0].raw
    policy = attach(Policy(owner, root, 1, replicas, 0, removed=False), b"s" * 64)
    return Claim(unit.name, (root,), unit.spine, 1, 1, policy, 200, origin)


def test_our_own_come_first_with_the_first_of_each_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "REPROVIDE_STRANGERS_FIRST", 10)
    holder = Holder()
    rare = [holder.claimed(STRANGER, f"198.51.{number}.0/24") for number in range(5)]
    both = holder.claimed(STRANGER, CROWDED)
    holder.ledger.claims.put(claim(both, b"t" * 32, "203.0.113.0/24", replicas=REPLICAS_MAX))
    own = [holder.claimed(holder.owner, origin) for origin in ("", CROWDED, "198.51.9.0/24")]
    own += [holder.pinned() for _ in range(3)]

    async def scene() -> None:
        assert await holder.duty.announce_all() == len(holder.index.began) == MANY + 12
        assert max(holder.told([*own, *rare, both])) < len(own) + 10
        assert len({key for _, key in holder.index.began}) == MANY + 12
        assert holder.index.lookups == 1

    holder.play(scene)


def test_some_are_announced_together_and_none_in_a_burst() -> None:
    holder = Holder()

    async def scene() -> None:
        began_s = holder.loop.time()
        await holder.duty.announce_all()
        least_s = MANY * REPROVIDE_PAUSE_S
        assert least_s <= holder.loop.time() - began_s < 1.2 * least_s
        assert holder.index.most_at_once <= SWEPT_AT_ONCE
        keys = [key for _, key in holder.index.began]
        assert keys == sorted(keys), "in the order of the keys, so that few lookups serve all"

    holder.play(scene)


def test_what_is_to_be_announced_soon_waits_for_no_round() -> None:
    """However much of the crowd has failed and is to be tried again as well."""
    holder = Holder()
    holder.index.deaf = {unit.key for unit in holder.crowd}

    async def scene() -> None:
        holder.tasks.spawn(holder.duty.run(), "reprovide")
        for _ in range(3):
            await asyncio.sleep(60.0)
            late = holder.claimed(holder.owner, "")
            holder.duty.again_soon(late)
            await asyncio.sleep(2 * (SWEPT_AT_ONCE * REPROVIDE_PAUSE_S + PROVIDE_S))
            assert list(holder.told([late]))

    holder.play(scene)


def test_what_nobody_took_is_tried_again_and_keeps_nothing_waiting() -> None:
    holder = Holder()
    failing = [holder.claimed(holder.owner, "") for _ in range(40)]
    holder.index.deaf = {unit.key for unit in failing}

    async def scene() -> None:
        holder.tasks.spawn(holder.duty.run(), "reprovide")
        await asyncio.sleep(120.0)
        keys = [key for _, key in holder.index.began]
        assert min(keys.count(unit.key) for unit in failing) >= 2
        assert {unit.key for unit in holder.crowd} <= set(keys)

    holder.play(scene)


def test_of_two_units_of_one_name_both_must_be_here() -> None:
    """Who asks for that name may want either."""
    holder = Holder()
    links = [DagLink(Cid.of(b"never here"), "leaf", 10)]
    block = dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
    root = Cid.of(block, DAG_PB)
    with holder.store.batch() as batch:
        batch.put(root, block)
        batch.commit()
    subtree = Unit.of((root,), 10)
    spine = replace(subtree, spine=True)
    holder.ledger.claims.put(claim(subtree, STRANGER, CROWDED))
    holder.ledger.claims.put(claim(spine, b"t" * 32, "", replicas=REPLICAS_MAX))

    async def scene() -> None:
        assert await holder.duty.announce_all() == MANY
        assert subtree.key not in [key for _, key in holder.index.began]
        assert holder.completeness.incomplete == 1

    holder.play(scene)
