"""After every attack of the kit the node serves on, and has nothing of it in its hands.

The check knows no case: it counts all objects, tasks, links, slots and bytes before an attack and
some minutes after it.
"""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.hostile.attacks import ATTACKS
from dhtstore.params import DIAL_TIMEOUT_S, HANDSHAKE_TIMEOUT_S
from tests.hostile.whole.arena import CONTENT, SETTLE_S, Arena, play
from tests.hostile.whole.census import (
    claims_of_others,
    hands,
    more_than,
    slots,
    strangers_share,
)

COMMAND_MAX_S = 3 * (DIAL_TIMEOUT_S + HANDSHAKE_TIMEOUT_S)  # of an honest user under attack


@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_node_serves_under_attack_and_has_nothing_of_it_afterwards(name: str) -> None:
    async def scene(arena: Arena) -> None:
        first = await arena.put()
        assert await arena.get(first) == CONTENT
        await asyncio.sleep(SETTLE_S)
        before, had = hands(arena.node), slots(arena.node)
        stored = honest_bytes = arena.node.disk.store.used_bytes

        attack = asyncio.ensure_future(arena.suffer(ATTACKS[name]))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(COMMAND_MAX_S):
            assert await arena.get(first) == CONTENT
            second = await arena.put(CONTENT[:-1])
        await attack
        assert await arena.get(second) == CONTENT[:-1]

        await asyncio.sleep(SETTLE_S)
        assert slots(arena.node) == had
        lasting_bytes = arena.node.disk.store.used_bytes - stored - honest_bytes
        claimed_bytes = claims_of_others(arena.node, arena.user.ports.crypto.owner.public_key)
        assert lasting_bytes <= claimed_bytes <= strangers_share(arena.node)
        assert more_than(before, hands(arena.node)) == {}
        assert await arena.get(first) == CONTENT

    play(scene)
