"""Fifty unchanged Nodes in virtual time: put on one, get on another, twice with one seed."""

from __future__ import annotations

import io
import random

from simulations.events.users import get_bytes, put_bytes
from simulations.seeds import derived_seed
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.network import SimNetwork
from simulations.world.trace import Trace
from tests.simulation.harness import Lab

NODES = 50
CONTENT = random.Random(7).randbytes(3_000_000)


def _run(seed: int) -> tuple[str, str, bytes]:
    lines = io.StringIO()
    trace = Trace(lines)

    async def story() -> bytes:
        await lab.grow(NODES)
        result = await put_bytes(lab.nodes[7], CONTENT)
        assert result.copies == 3
        got = await get_bytes(lab.nodes[42], result.cid)
        await lab.stop()
        return got

    loop = VirtualLoop()
    network = SimNetwork(
        loop, random.Random(derived_seed(seed, "network")), loss=0.02, jitter=0.1, trace=trace
    )
    lab = Lab(loop, seed, network)
    got = run(story(), loop)
    return trace.hexdigest(), lines.getvalue(), got


def test_one_seed_gives_one_byte_identical_trace() -> None:
    first_digest, first_lines, first_got = _run(1)
    second_digest, second_lines, _ = _run(1)
    assert first_got == CONTENT
    assert first_lines == second_lines
    assert first_digest == second_digest
    assert len(first_lines.splitlines()) > 5_000


def test_another_seed_gives_another_trace() -> None:
    assert _run(1)[0] != _run(2)[0]
