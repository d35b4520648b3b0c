"""Strangers want the whole disk: who is new here shares a part of it, and the rest stays free."""

from __future__ import annotations

import asyncio

from benchmarks.hostile.kit import offers
from dhtstore.params import MIB
from tests.hostile.whole.arena import CONTENT, Arena, play, storage
from tests.hostile.whole.census import claims_of_others, strangers_share

CAPACITY_BYTES = 64 * MIB
UNTIL_FULL_S = 1.0


def test_strangers_with_keys_and_prefixes_without_end_leave_room() -> None:
    async def scene(arena: Arena) -> None:
        first = await arena.put()
        await arena.suffer(offers.filling, UNTIL_FULL_S)
        await asyncio.sleep(60)
        node, user = arena.node, arena.user.ports.crypto.owner.public_key
        taken_bytes = claims_of_others(node, user)
        assert taken_bytes > strangers_share(node) // 2, "they did come"
        assert taken_bytes <= strangers_share(node)
        assert node.disk.store.used_bytes < CAPACITY_BYTES * 3 // 4
        assert await arena.get(first) == CONTENT

    play(scene, storage(CAPACITY_BYTES))


def test_what_nobody_may_keep_is_gone_as_often_as_it_comes() -> None:
    """More than the disk holds is brought, again and again, and none of it to an end."""

    async def scene(arena: Arena) -> None:
        await arena.put()
        before = arena.node.disk.store.used_bytes
        for attack in (offers.longer, offers.malformed_at_the_end, offers.abandoned):
            await arena.suffer(attack, 0.4)
        await asyncio.sleep(120)
        assert arena.node.disk.store.used_bytes == before
        await arena.put(CONTENT[:-1])

    play(scene, storage(CAPACITY_BYTES))
