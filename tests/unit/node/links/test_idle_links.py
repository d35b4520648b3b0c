"""Links that nobody uses end at both ends, and nothing that is asked meets such an end."""

from __future__ import annotations

import asyncio

from dhtstore.model.cid import Cid
from dhtstore.params import IDLE_CONNECTION_TIMEOUT_S, IDLE_CROSSING_S
from tests.unit.node.data_plane import World, collect, play

MANY = 400  # of 448 that others may open


def test_what_is_asked_just_before_a_link_ends_as_idle_goes_over_another() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        root = b.hold(b"content")
        link = await a.links.to(b.key, [b.address], 5.0)
        await asyncio.sleep(IDLE_CONNECTION_TIMEOUT_S - IDLE_CROSSING_S / 2)
        assert link.alive
        other = await a.links.to(b.key, [b.address], 5.0)
        assert other is not link
        await asyncio.sleep(IDLE_CROSSING_S)  # the first would have ended by now
        assert await collect(other, [root]) == ({0: b"content"}, [], 1)

    play(scene)


def test_one_that_is_in_use_is_kept() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        link = await a.links.to(b.key, [b.address], 5.0)
        for _ in range(5):
            await asyncio.sleep(IDLE_CONNECTION_TIMEOUT_S / 2)
            assert await a.links.to(b.key, [b.address], 5.0) is link
            await collect(link, [Cid.of(b"nothing of that kind")])

    play(scene)


def test_hundreds_of_idle_links_go_at_both_ends_and_can_be_had_again() -> None:
    async def scene(world: World) -> None:
        hub = await world.peer("hub")
        others = [
            await world.peer(f"p{n}", host=f"10.{n // 200 + 1}.{n % 200}.1") for n in range(MANY)
        ]
        for _ in range(2):
            for each in others:
                await each.links.to(hub.key, [hub.address], 5.0)
            await asyncio.sleep(1.0)
            assert len(hub.links.open_links()) == MANY
            await asyncio.sleep(2 * IDLE_CONNECTION_TIMEOUT_S + 1)
            assert not hub.links.open_links()
            assert not any(each.links.open_links() for each in others)

    play(scene)
