"""Strangers that stand in routing tables, dead or telling tales: honest lookups find their way."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.hostile.attacks import ATTACKS
from dhtstore.params import RPC_TIMEOUT_MAX_S
from tests.hostile.whole.arena import CONTENT, Arena, play

PUT_MAX_S = 2 * RPC_TIMEOUT_MAX_S  # two lookups, each of which waits once for the silent


@pytest.mark.parametrize("name", ["introductions", "tables-silent", "tables-short-lived"])
def test_puts_are_placed_and_announced_in_time(name: str) -> None:
    async def scene(arena: Arena) -> None:
        await arena.put()
        attack = asyncio.ensure_future(arena.suffer(ATTACKS[name], 60.0))
        await asyncio.sleep(5)
        for number in range(6):
            started_s = arena.loop.time()
            await arena.put(CONTENT[: -1 - number])
            assert arena.loop.time() - started_s <= PUT_MAX_S
        attack.cancel()

    play(scene)
