"""A node that keeps a few units, and index nodes that write down what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.core.sweeping.seen import SeenNodes
from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Jump
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.duties.stocktaking import Stocktaking
from dhtstore.node.flows.verify import Verified, verify
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.operation import unwatched
from dhtstore.params import (
    SIGNATURE_BYTES,
)
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.unit.node.copies_world import new_ledger


@dataclass(slots=True)
class Heard:
    """Index nodes that write down what they are told and when; ``deaf`` to some keys."""

    loop: VirtualLoop
    contacts: list[float] = field(default_factory=list)
    units: list[tuple[float, DhtKey]] = field(default_factory=list)
    records: list[ProviderRecord] = field(default_factory=list)
    deaf: set[DhtKey] = field(default_factory=set)
    away: bool = False
    gone: bool = False
    lookups: int = 0
    sign: Callable[[DhtKey], ProviderRecord] = field(init=False)

    async def publish_contact(self, timeout_s: float) -> int:
        self.contacts.append(self.loop.time())
        return int(not self.away)

    async def explore(self, key: DhtKey, *, timeout_s: float) -> SeenNodes:
        if self.gone:
            raise Unreachable("nobody answers")
        self.lookups += 1
        return SeenNodes(self.loop.time()).looked_up().everywhere()

    async def provide_many(
        self, seen: SeenNodes, keys: Sequence[DhtKey], *, timeout_s: float
    ) -> tuple[list[Published], SeenNodes]:
        heard = [key for key in keys if key not in self.deaf]
        self.units += [(self.loop.time(), key) for key in heard]
        self.records += [self.sign(key) for key in heard]
        return [Published(int(key in heard and not self.away), {}) for key in keys], seen

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> list[Published]:
        if key in self.deaf:
            raise Unreachable("nobody answers")
        assert [record.key for record, _ in records] == [key]
        self.units.append((self.loop.time(), key))
        self.records += [record for record, _ in records]
        return [Published(int(not self.away), {})]


class Holding:
    """A node that keeps three claimed units and one that is pinned."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.heard, self.joined = Heard(self.loop), asyncio.Event()
        self.events: list[str] = []
        crypto, clock = SimCrypto(b"node", b"node"), SimClock(self.loop)
        identity = Identity(crypto, clock, NodeSettings(), lambda: (Address("10.0.0.1", 7400),))
        self.heard.sign = identity.provider_record
        self.ledger = new_ledger()
        self.units = [unit(number) for number in range(4)]
        for each in self.units[:3]:
            self.ledger.claims.put(claim_of(each))
        self.ledger.pins.add(self.units[3].roots[0], "by hand", "user", [self.units[3]])
        self.store = FaultyBlockStore(MemoryBlockStore())
        with self.store.batch() as batch:
            for number, each in enumerate(self.units):
                batch.put(each.roots[0], b"%d" % number)
            batch.commit()
        disk, tracer = Disk(self.store, InlineBlocking()), self.trace
        self.completeness = Completeness(disk, self.ledger, tracer)
        self.stocktaking = Stocktaking(identity, self.completeness)
        self.reprovide = Reprovide(
            identity,
            disk,
            self.heard,
            clock,
            SimEntropy(1, "node"),
            tracer,
            self.joined,
            self.completeness,
        )
        self.clock = clock
        clock.watch(self.reprovide.time_jumped, Supervisor())

    def trace(self, event: str, **fields: object) -> None:
        self.events.append(event)

    async def verify(self) -> Verified:
        return await verify(self.completeness, 0, unwatched)

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await scene()

        run(main(), self.loop)

    def sleep(self, asleep_s: float) -> None:
        """The machine sleeps and wakes: only its clocks have moved on."""
        monotonic_s = self.clock.monotonic_s
        self.clock.monotonic_s = lambda: monotonic_s() + asleep_s  # type: ignore[method-assign]
        self.reprovide.time_jumped(Jump(asleep_s, 0.0))

    async def run_for(self, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reprovide.run()


def unit(number: int) -> Unit:
    return Unit.of((Cid.of(b"%d" % number),), 1)


def claim_of(each: Unit, expires: int = 0) -> Claim:
    policy = Policy(b"o" * 32, each.roots[0].raw, 1, 3, expires, removed=False)
    signed = attach(policy, bytes(SIGNATURE_BYTES))
    return Claim(each.name, (each.roots[0].raw,), each.spine, 1, 1, signed)
