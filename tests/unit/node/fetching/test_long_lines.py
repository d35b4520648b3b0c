"""A get over a long line keeps it in use: what is asked for covers the way there and back."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.get import get
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIB
from simulations.validation.streams import StreamPath, measure
from simulations.world.network.congestion import CONGESTIONS
from simulations.world.network.latency import FixedLatency
from simulations.world.network.ways import BUFFER_BYTES
from tests.unit.node.data_plane import World, play

LINE_BYTES_PER_S = 100_000_000 / 8
CONTENT = random.Random(9).randbytes(72 * MIB)
STARTS_IN = 12  # round trips: a stream begins with ten segments and doubles
IN_USE = 0.9


@pytest.mark.parametrize("loss", [0.0, 0.0002])
@pytest.mark.parametrize("round_trip_s", [0.05, 0.2])
def test_the_line_is_in_use_once_the_stream_has_started(
    tmp_path: Path, round_trip_s: float, loss: float
) -> None:
    """Lost packets let answers come late by round trips."""
    shares: list[float] = []

    async def scene(world: World) -> None:
        world.network.receive_buffer_bytes = world.network.send_buffer_bytes = BUFFER_BYTES
        world.network.congestion = CONGESTIONS["bbr"]  # as nodes ask for
        world.network.latency = FixedLatency(round_trip_s / 2)
        getter, holder = await world.peer("getter"), await world.peer("holder")
        machine = world.network.machine(holder.address)
        root = holder.hold(CONTENT)
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        machine.up_bytes_per_s, world.network.loss = LINE_BYTES_PER_S, loss
        begun_s, before_bytes = world.loop.time(), 0

        def at_first() -> None:
            nonlocal before_bytes
            before_bytes = machine.sent_bytes

        first_s = max(1.0, STARTS_IN * round_trip_s)
        world.loop.call_later(first_s, at_first)
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        try:
            async with FetchSession(getter.disk, FixedHolders([link])) as session:
                await get(session, root, [], folder_fd, "out", timeout_s=None, progress=unwatched)
        finally:
            os.close(folder_fd)
        lasted_s = world.loop.time() - round_trip_s / 2 - begun_s - first_s
        shares.append((machine.sent_bytes - before_bytes) / lasted_s / LINE_BYTES_PER_S)

    play(scene)
    assert (tmp_path / "out").read_bytes() == CONTENT
    path = StreamPath(round_trip_s, loss, LINE_BYTES_PER_S, congestion="bbr")
    plain = measure(path, len(CONTENT), seed=1).bytes_per_s / LINE_BYTES_PER_S
    assert shares[0] >= IN_USE * plain  # what a stream alone makes of it: 0.8 to 1
