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
from simulations.world.network import pipe
from simulations.world.network.latency import FixedLatency
from tests.unit.node.data_plane import World, play

LINE_BYTES_PER_S = 100_000_000 / 8
CONTENT = random.Random(9).randbytes(40 * MIB)
FIRST_S = 1.0
IN_USE = 0.9


@pytest.mark.parametrize("loss", [0.0, 0.0002])
@pytest.mark.parametrize("round_trip_s", [0.05, 0.2])
def test_the_line_is_in_use_after_the_first_second(
    tmp_path: Path, round_trip_s: float, loss: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost packets let answers come late by round trips."""
    monkeypatch.setattr(pipe, "HIGH_WATER_BYTES", 4 * MIB)  # as SO_RCVBUF of real ones
    shares: list[float] = []

    async def scene(world: World) -> None:
        world.network.latency = FixedLatency(round_trip_s / 2)
        getter, holder = await world.peer("getter"), await world.peer("holder")
        machine = world.network.machine(holder.address)
        root = holder.hold(CONTENT)
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        machine.up_bytes_per_s, world.network.loss = LINE_BYTES_PER_S, loss
        begun_s, before_bytes = world.loop.time(), 0

        def first_second() -> None:
            nonlocal before_bytes
            before_bytes = machine.sent_bytes

        world.loop.call_later(FIRST_S, first_second)
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        try:
            async with FetchSession(getter.disk, FixedHolders([link])) as session:
                await get(session, root, [], folder_fd, "out", timeout_s=None, progress=unwatched)
        finally:
            os.close(folder_fd)
        lasted_s = machine.up_free_at_s - begun_s - FIRST_S
        shares.append((machine.sent_bytes - before_bytes) / lasted_s / LINE_BYTES_PER_S)

    play(scene)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert shares[0] >= IN_USE
