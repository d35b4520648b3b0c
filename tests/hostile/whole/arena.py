"""A node, its honest user and strangers, each at addresses of the public net, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from benchmarks.hostile.kit.field import Attack, Field
from benchmarks.hostile.kit.stranger import Means, Stranger, Target
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.params import GIB, MIB, OWNER_DIVISOR
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.wire.ticket import Ticket
from simulations.events.users import get_bytes, put_bytes
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from simulations.world.ports.interfaces import SimInterfaces

T = TypeVar("T")
PORT: Final = 7400
ATTACK_S: Final = 0.5
SETTLE_S: Final = 150.0  # an idle link lives 60 s, what was cancelled may take 60 s to end
CONTENT: Final = random.Random(3).randbytes(2 * MIB)


def storage(capacity_bytes: int) -> NodeSettings:
    """A storage node that is otherwise of default settings."""
    quota_bytes = capacity_bytes // OWNER_DIVISOR
    return NodeSettings(capacity_bytes=capacity_bytes, owner_quota_bytes=quota_bytes)


STORAGE: Final = storage(GIB)


class Arena:
    """``node`` is attacked; ``user`` puts there and gets from there."""

    node: Node
    user: Node

    def __init__(self, loop: VirtualLoop, settings: NodeSettings = STORAGE) -> None:
        self.loop, self.settings = loop, settings
        self.network = SimNetwork(loop, random.Random(1), FixedLatency(0.005))
        self.streams = SimStreams(self.network)
        self.known: list[Cid] = []
        self.events: Counter[str] = Counter()
        self._machines = 0

    async def open(self) -> None:
        self.node = Node(self.ports(Address("11.1.0.1", PORT), self.settings), self.settings)
        client = NodeSettings()
        self.user = Node(self.ports(Address("11.2.0.1", PORT), client), client)
        for node in (self.node, self.user):
            await node.start()
        await self.node.join([])
        await self.user.join([ticket_of(self.node)])

    async def close(self) -> None:
        for node in (self.user, self.node):
            await node.stop()

    # --- honest use -------------------------------------------------------------------------

    async def put(self, content: bytes = CONTENT) -> Cid:
        """One copy, on the only storage node there is."""
        outcome = await put_bytes(self.user, content, replicas=1)
        self.known.append(outcome.cid)
        return outcome.cid

    async def get(self, cid: Cid) -> bytes:
        return await get_bytes(self.user, cid)

    # --- strangers --------------------------------------------------------------------------

    def field(self) -> Field:
        return Field(
            target_of(self.node),
            self.stranger,
            self.crypto,
            random.Random(2),
            lambda: self.known,
            target_of(self.user),
        )

    def stranger(self, origin: int) -> Stranger:
        self._machines += 1
        host = f"11.66.{origin % 256}.{self._machines % 250 + 1}"
        address = Address(host, PORT + self._machines)
        crypto = self.crypto()
        means = Means(
            crypto,
            self.network.endpoint(address),
            self.streams.transport(address, crypto.node.public_key),
            SimEntropy(self._machines, "stranger"),
            SimClock(self.loop).unix_s,
        )
        return Stranger(means, target_of(self.node))

    async def suffer(self, attack: Attack, seconds: float = ATTACK_S) -> None:
        """Under attack for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await attack(self.field())

    def crypto(self) -> SimCrypto:
        self._machines += 1
        secret = f"key {self._machines}".encode()
        return SimCrypto(secret, secret)

    def ports(self, address: Address, settings: NodeSettings) -> Ports:
        crypto = self.crypto()
        return Ports(
            clock=SimClock(self.loop),
            entropy=SimEntropy(1, str(address)),
            crypto=crypto,
            endpoint=self.network.endpoint(address),
            interfaces=SimInterfaces(address.host),
            streams=self.streams.transport(address, crypto.node.public_key),
            blocking=InlineBlocking(),
            store=MemoryBlockStore(settings.capacity_bytes or None),
            ledger=MemoryKeyValue(),
            tracer=self._trace,
        )

    def _trace(self, event: str, **fields: object) -> None:
        self.events[event] += 1


def play(scene: Callable[[Arena], Awaitable[T]], settings: NodeSettings = STORAGE) -> T:
    """Run a scene in a new arena; no task may be left of it."""
    loop = VirtualLoop()
    arena = Arena(loop, settings)

    async def main() -> T:
        await arena.open()
        try:
            return await scene(arena)
        finally:
            await arena.close()

    result = run(main(), loop)
    gc.collect(0)
    assert loop.unhandled == []
    return result


def target_of(node: Node) -> Target:
    return Target(node.public_key, node.ports.endpoint.local, node.settings.network)


def ticket_of(node: Node) -> str:
    return str(Ticket(node.settings.network.name, node.public_key, node.addresses()))
