"""A node whose own line is down has seen nothing of others meanwhile."""

from __future__ import annotations

import asyncio

from dhtstore.node.node import Node
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, address_of, tell

HOUR_S = 3600.0


async def who_put_hours_ago(lab: Lab) -> Node:
    await lab.grow(14)
    putter = lab.nodes[0]
    for number in range(6):
        await put_bytes(putter, b"kept by three %d" % number)
    await asyncio.sleep(5 * HOUR_S)
    return putter


def test_whose_own_line_is_down_takes_nobody_for_away() -> None:
    """Also in the first look after it broke, when others were heard within the hour."""

    async def story(lab: Lab) -> None:
        putter = await who_put_hours_ago(lab)
        lab.network.partition([[address_of(putter)], []])
        await asyncio.sleep(3 * HOUR_S)
        lab.network.heal()
        await asyncio.sleep(2 * HOUR_S)
        pasts = [past for _, past, _ in putter.repair.fellows.known()]
        assert len(pasts) > 4
        for past in pasts:
            assert (past.absent_s, past.silent_s, past.away_s) == (0, 0, ())
            assert past.looked_s < 9 * HOUR_S

    tell(story)


def test_whose_own_line_is_down_for_minutes_while_it_looks_takes_nobody_for_away() -> None:
    """Others were heard within the hour: each holder got an absence of an hour, none was steady."""

    async def story(lab: Lab) -> None:
        putter = await who_put_hours_ago(lab)
        asked = [past.asked_unix_s for _, past, _ in putter.repair.fellows.known()]
        now = putter.ports.clock.unix_s()
        await asyncio.sleep(max(asked) + HOUR_S - 600 - now)
        lab.network.partition([[address_of(putter)], []])
        await asyncio.sleep(2400)
        lab.network.heal()
        await asyncio.sleep(2 * HOUR_S)
        pasts = [past for _, past, _ in putter.repair.fellows.known()]
        assert len(pasts) > 4
        assert all((past.absent_s, past.away_s) == (0, ()) for past in pasts)

    tell(story)


def test_who_is_silent_while_another_node_answers_is_away() -> None:
    """Though no holder answers."""

    async def story(lab: Lab) -> None:
        await lab.grow(6)
        putter = lab.nodes[0]
        await put_bytes(putter, b"kept by three")
        await asyncio.sleep(4 * HOUR_S)
        known = {key for key, _, _ in putter.repair.fellows.known()}
        for node in lab.nodes[1:]:
            if node.public_key in known:
                lab.crash(node)
        await asyncio.sleep(8 * HOUR_S)
        for _, past, _ in putter.repair.fellows.known():
            assert 6 * HOUR_S < past.silent_s < 9 * HOUR_S

    tell(story)
