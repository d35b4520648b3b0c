"""Two ends of one simulated stream, without a handshake: for the parts of a link by themselves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.frame_io import read_body, read_message, read_prefix
from dhtstore.params import MIB
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import Frame
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams
from simulations.world.ports.clock import SimClock

HERE, THERE = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
KEY_HERE, KEY_THERE = PublicKey(b"h" * 32), PublicKey(b"t" * 32)


@dataclass(frozen=True, slots=True)
class Ends:
    """``far`` is what the peer reads and writes; ``tasks`` run until the scene ends."""

    near: Stream
    far: Stream
    clock: Clock
    tasks: Supervisor


Scene = Callable[[Ends], Awaitable[None]]


def play(scene: Scene) -> None:
    """Run a scene in virtual time."""
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), FixedLatency(0.01))
    network.receive_buffer_bytes = network.send_buffer_bytes = MIB // 2
    streams = SimStreams(network)
    here, there = streams.transport(HERE, KEY_HERE), streams.transport(THERE, KEY_THERE)
    accepted: asyncio.Queue[Stream] = asyncio.Queue()

    async def keep(stream: Stream) -> None:
        accepted.put_nowait(stream)
        await asyncio.Event().wait()

    async def main() -> None:
        tasks = Supervisor()
        await there.listen(THERE.port, keep, tasks)
        near = await here.dial(THERE, KEY_THERE, 5.0)
        await scene(Ends(near, await accepted.get(), SimClock(loop), tasks))
        await tasks.close()
        await here.close()
        await there.close()

    run(main(), loop)


async def read(stream: Stream) -> tuple[Frame, Lease]:
    """A frame and its body."""
    sizes = await read_prefix(stream)
    return await read_message(stream, sizes), await read_body(stream, sizes[1])
