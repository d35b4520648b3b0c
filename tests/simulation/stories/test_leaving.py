"""A node leaves: what it holds goes to others first, and no copy is missing at any moment."""

from __future__ import annotations

import asyncio
import random

import pytest

from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.replication.repair.plan import Act
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, tell

CONTENT = random.Random(5).randbytes(300_000)


def holders(lab: Lab, root: Cid) -> list[Node]:
    now_s = lab.nodes[0].ports.clock.unix_s()
    return [node for node in lab.nodes if node.completeness.under(root.raw, now_s)]


async def fewest(lab: Lab, root: Cid, work: asyncio.Task[object]) -> int:
    """The fewest copies that there were on disks while ``work`` went on."""
    least = len(holders(lab, root))
    while not work.done():
        await asyncio.sleep(0.01)
        least = min(least, len(holders(lab, root)))
    return least


async def providers(node: Node, root: Cid) -> set[bytes]:
    found = await node.dht.find_providers(dht_key(root.raw), wanted=10, timeout_s=30.0)
    return {each.record.signer for each in found.providers}


def test_a_copy_goes_to_another_before_its_holder_leaves() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        await asyncio.sleep(60)
        leaver = holders(lab, root)[1]
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        assert await fewest(lab, root, work) == 3
        assert [each.act for each in work.result()] == [Act.DROP]
        assert leaver.leaving.left.done()
        there = holders(lab, root)
        assert len(there) == 3
        assert leaver not in there
        said = await providers(lab.nodes[0], root)
        assert leaver.public_key not in said
        assert {node.public_key for node in there} <= said

    tell(story)


def test_what_the_own_user_put_is_brought_to_others_and_stays_on_this_disk() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        leaver = lab.nodes[0]
        root = (await put_bytes(leaver, CONTENT)).cid
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()
        there = holders(lab, root)
        assert len(there) == 4
        assert leaver in there
        assert leaver.public_key not in await providers(lab.nodes[1], root)

    tell(story)


def test_where_nobody_takes_it_the_node_stays_and_says_why_until_it_is_cancelled() -> None:
    """Three nodes, three copies wanted; a restart makes no difference."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = lab.nodes[2]
        [done] = await leaver.leaving.leave(unwatched)
        assert done.act is Act.NOTHING
        assert "2 other copies are proved, 3 wanted; " in done.why
        assert not leaver.leaving.left.done()
        assert len(holders(lab, root)) == 3
        await leaver.stop()
        lab.nodes.remove(leaver)
        again = await lab.again(leaver)
        assert again.leaving.active
        assert any("this node is leaving" in text for text in again.warnings.texts)
        await again.leaving.cancel()
        assert not again.leaving.active
        assert again.warnings.texts == []

    tell(story)


def test_a_node_that_leaves_takes_no_offers() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        await put_bytes(lab.nodes[0], CONTENT)
        await lab.nodes[2].leaving.leave(unwatched)
        outcome = await put_bytes(lab.nodes[0], CONTENT[:-1])
        assert len({receipt.signer for receipt in outcome.receipts}) == 2

    tell(story)


def test_what_was_cut_short_is_gone_on_with() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(7)
        root = (await put_bytes(lab.nodes[0], CONTENT)).cid
        leaver = holders(lab, root)[1]
        work = asyncio.create_task(leaver.leaving.leave(unwatched))
        await asyncio.sleep(0.02)  # in virtual time: it is in the middle of it
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert leaver.leaving.active
        assert len(holders(lab, root)) == 3
        await leaver.leaving.leave(unwatched)
        assert leaver.leaving.left.done()
        assert leaver not in holders(lab, root)
        assert len(holders(lab, root)) == 3

    tell(story)
