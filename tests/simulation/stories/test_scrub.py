"""Blocks that rot are found by the scrub and come back from other holders, with nobody typing a
command."""

from __future__ import annotations

import asyncio
import random

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.model.cid import Cid
from dhtstore.node.node import Node
from dhtstore.params import DAY_S, MIB, SCRUB_EVERY_S
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.lying_store import LyingBlockStore
from tests.simulation.harness import Lab, tell
from tests.simulation.stories.test_bad_disks import status_of

CONTENT = random.Random(7).randbytes(9 * MIB)
LEAF, ROOT = 3, 0  # places in the order of a walk


def faulty(node: Node) -> FaultyBlockStore:
    assert isinstance(node.disk.store, FaultyBlockStore)
    return node.disk.store


def rot(node: Node, root: Cid, *places: int) -> list[Cid]:
    blocks = list(local_blocks(node.disk.store, root, Leaves.NAMED))
    rotten = [blocks[place] for place in places]
    for cid in rotten:
        faulty(node).rot(cid)
    return rotten


async def grow(lab: Lab, count: int) -> None:
    for _ in range(count):
        await lab.add(store=FaultyBlockStore(MemoryBlockStore(10**9)))


def is_whole(node: Node, root: Cid) -> bool:
    read = [node.disk.store.get(cid) for cid in local_blocks(node.disk.store, root, Leaves.READ)]
    return len(read) > 1 and not node.rot.rotten


def test_what_rots_is_found_and_fetched_again() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 2)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=2)).cid
        node = lab.nodes[1]
        rot(node, root, LEAF, ROOT)
        await asyncio.sleep(DAY_S)
        assert is_whole(node, root)
        assert node.ledger.damage.count() == 0
        assert node.completeness.incomplete == 0
        assert node.warnings.texts == []
        assert node.rot.places == []
        rot(node, root, LEAF)  # and in the next pass
        await asyncio.sleep(SCRUB_EVERY_S)
        assert is_whole(node, root)

    tell(story)


def test_a_pass_goes_on_after_a_restart() -> None:
    """Blocks that were verified before it are not read again."""

    class Counting(FaultyBlockStore):
        def __init__(self) -> None:
            super().__init__(MemoryBlockStore(10**9))
            self.looks: list[bytes] = []

        def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
            if afresh:
                self.looks.append(cid.multihash)
            return super().get(cid)

    async def story(lab: Lab) -> None:
        store = Counting()
        node = await lab.add(store=store)
        await put_bytes(node, CONTENT, replicas=1)
        await asyncio.sleep(90)
        first, store.looks = store.looks, []
        assert 0 < len(first) < store.count()
        await node.stop()
        lab.nodes.remove(node)
        again = await lab.again(node)
        await asyncio.sleep(DAY_S)
        assert sorted(first + store.looks) == sorted(cid.multihash for cid in store.cids())
        assert (await status_of(again)).verified is not None

    tell(story)


def test_what_was_lost_while_a_node_was_down_comes_back() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 2)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=2)).cid
        node = lab.nodes[1]
        blocks = list(local_blocks(node.disk.store, root, Leaves.NAMED))
        await node.stop()
        node.disk.store.delete(blocks[:1] + blocks[4:7])
        lab.nodes.remove(node)
        again = await lab.again(node)
        await asyncio.sleep(600)
        assert is_whole(again, root)
        assert again.completeness.incomplete == 0

    tell(story)


def test_of_a_liar_nothing_is_taken_and_the_block_stays_out_of_use() -> None:
    async def story(lab: Lab) -> None:
        liar = LyingBlockStore(MemoryBlockStore(10**9))
        await lab.add(store=liar)
        await grow(lab, 1)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=2)).cid
        liar.lying = True
        node = lab.nodes[1]
        [leaf] = rot(node, root, LEAF)
        await asyncio.sleep(DAY_S)
        assert node.rot.rotten == {leaf.multihash}
        assert node.completeness.incomplete == 1
        told = await status_of(node)
        assert [(each.block, each.root) for each in told.damage] == [(str(leaf), str(root))]
        assert any("rotted" in each for each in told.warnings)
        liar.lying = False
        await asyncio.sleep(2 * DAY_S)
        assert is_whole(node, root)
        assert (await status_of(node)).damage == []

    tell(story)


def test_a_get_that_passes_by_writes_back_what_has_rotted() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 2)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=2)).cid
        node = lab.nodes[1]
        [leaf] = rot(node, root, LEAF)
        assert await get_bytes(node, root) == CONTENT
        assert faulty(node).get(leaf)
        assert is_whole(node, root)
        assert node.ledger.damage.count() == 0

    tell(story)


def test_what_a_find_costs_is_a_copy_in_the_list_until_it_is_whole() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 1)
        node = lab.nodes[0]
        root = (await put_bytes(node, CONTENT, replicas=1)).cid
        await lab.add(store=LyingBlockStore(MemoryBlockStore(10**9)))
        rot(node, root, LEAF)
        assert [put.copies for page in node.ledger.puts.listed(9) for put in page] == [1]
        await asyncio.sleep(DAY_S)
        assert [put.copies for page in node.ledger.puts.listed(9) for put in page] == [0]
        await put_bytes(node, CONTENT, replicas=1)
        await asyncio.sleep(DAY_S)
        assert [put.copies for page in node.ledger.puts.listed(9) for put in page] == [1]

    tell(story)
