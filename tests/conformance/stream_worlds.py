"""The two worlds streams live in, so that one scene plays in both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.crypto import Ed25519Signer
from dhtstore.net.ports import Stream, StreamTransport
from dhtstore.net.tcp import TlsTransport
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams

SEED_A, SEED_B = b"a" * 32, b"b" * 32
KEY_A, KEY_B = Ed25519Signer(SEED_A).public_key, Ed25519Signer(SEED_B).public_key


@dataclass(slots=True)
class World:
    """A dials, B accepts; ``accepted`` are B's streams, open until ``release`` is set."""

    a: StreamTransport
    b: StreamTransport
    where_a: Callable[[], Address]
    where_b: Callable[[], Address]
    key_b: PublicKey = KEY_B
    accepted: asyncio.Queue[Stream] = field(default_factory=asyncio.Queue)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, stream: Stream) -> None:
        self.accepted.put_nowait(stream)
        await self.release.wait()

    async def connect(self) -> tuple[Stream, Stream]:
        """A's end and B's end."""
        near = await self.a.dial(self.where_b(), KEY_B, 5.0)
        return near, await self.accepted.get()


Scene = Callable[[World], Awaitable[None]]


async def _play(world: World, port: int, scene: Scene) -> None:
    await world.b.listen(port, world.keep, Supervisor())
    try:
        await scene(world)
    finally:
        await world.a.close()
        await world.b.close()


def play_over_tls(scene: Scene) -> None:
    a, b = TlsTransport("127.0.0.1", SEED_A), TlsTransport("127.0.0.1", SEED_B)
    problems: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(repr(context)))
        here = partial(Address, "127.0.0.1")
        await _play(World(a, b, lambda: here(a.port), lambda: here(b.port)), 0, scene)

    asyncio.run(main())
    assert problems == [], problems


def play_simulated(scene: Scene) -> None:
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), FixedLatency(0.01))
    where_a, where_b = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
    streams = SimStreams(network)
    a, b = streams.transport(where_a, KEY_A), streams.transport(where_b, KEY_B)

    async def main() -> None:
        await _play(World(a, b, lambda: a.local, lambda: where_b), where_b.port, scene)

    run(main(), loop)
