"""Where copies go: by what a node has seen of others, and by the room that they say to have."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from dhtstore.model.identity import NodeId, format_node
from dhtstore.node.node import Node
from dhtstore.params import DAY_S, MIB, PRESENCE_GUESS
from simulations.events.users import put_bytes
from tests.simulation.harness import STORAGE, Lab, small, tell


async def put_some(node: Node, units: int) -> Counter[bytes]:
    """How many of them each other node got."""
    rng, holders = random.Random(5), Counter[bytes]()
    for _ in range(units):
        result = await put_bytes(node, rng.randbytes(2000), replicas=2)
        holders.update(receipt.node for receipt in result.receipts)
    return holders


def test_a_node_that_comes_and_goes_gets_less_and_what_was_seen_outlives_a_restart() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        putter, steady, flaky = lab.nodes[0], lab.nodes[1], lab.nodes[2]
        for _ in range(4):
            await asyncio.sleep(DAY_S / 4)
            lab.crash(flaky)
            await asyncio.sleep(DAY_S / 4)
            flaky = await lab.again(flaky, seeds=None)
        await asyncio.sleep(DAY_S / 4)
        shares = [putter.presences.merit(node.node_id).presence.share for node in (steady, flaky)]
        assert shares[0] > 0.9
        assert 0.35 < shares[1] < 0.65
        holders = await put_some(putter, 40)
        assert holders[flaky.node_id] < holders[steady.node_id] / 3
        await putter.stop()
        lab.nodes.remove(putter)
        again = await lab.again(putter)
        await asyncio.sleep(1)
        told = again.presences.merit(steady.node_id).presence
        assert told.watched_s > 1.5 * DAY_S
        assert told.away_s == 0

    tell(story)


def test_a_node_that_was_off_itself_blames_nobody() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        watcher, other = lab.nodes[0], lab.nodes[1].node_id
        await asyncio.sleep(DAY_S)
        await watcher.stop()
        lab.nodes.remove(watcher)
        await asyncio.sleep(3 * DAY_S)
        again = await lab.again(watcher)
        await asyncio.sleep(DAY_S)
        seen = again.presences.merit(other).presence
        assert seen.away_s == 0
        assert seen.watched_s < 2.1 * DAY_S

    tell(story)


def test_a_large_disk_carries_more_and_what_a_node_said_of_its_room_is_known() -> None:
    async def story(lab: Lab) -> None:
        for number in range(8):
            await lab.add(STORAGE if number == 3 else small(100 * MIB))
        putter, large = lab.nodes[0], lab.nodes[3]
        holders = await put_some(putter, 40)
        others = [holders[node.node_id] for node in lab.nodes[1:] if node is not large]
        assert holders[large.node_id] > 2 * max(others)
        told = putter.presences.merit(large.node_id).room_bytes
        assert told is not None
        assert 0.8e9 < told < 1.0e9
        unknown = putter.presences.merit(NodeId(bytes(20)))
        assert (unknown.presence.share, unknown.room_bytes) == (PRESENCE_GUESS, None)

    tell(story)


def test_a_put_tells_why_each_node_was_chosen_or_passed_over() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        await asyncio.sleep(DAY_S)
        result = await put_bytes(lab.nodes[0], b"why" * 1000, replicas=2)
        reasons = {format_node(each.node): each.reason for each in result.reports}
        own, chosen, *left = reasons.values()
        assert own == ""
        assert "; there for 100 % of 23 hours, says it has room for " in chosen
        assert len(left) == 4
        assert all(each.startswith("not asked: enough others came before it; ") for each in left)

    tell(story)
