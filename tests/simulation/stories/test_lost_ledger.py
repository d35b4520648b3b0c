"""Files of different ages side by side: a ledger that is gone or new, and packs that are old."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.control import OperationRun, _collect
from dhtstore.node.keeping.lost_ledger import LostLedger
from dhtstore.node.node import Node
from dhtstore.node.warnings import Warnings
from dhtstore.operations import keeping
from dhtstore.operations.operation import unwatched
from dhtstore.params import DAY_S, MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace
from simulations.events.users import get_bytes, put_bytes
from simulations.world.ports.blocking import InlineBlocking
from tests.simulation.harness import STORAGE, Lab, tell

CONTENT = random.Random(9).randbytes(3 * MIB)


async def gc(node: Node, *, dry_run: bool = False) -> keeping.CollectResult:
    run = OperationRun(node, [], unwatched, None)
    return await _collect(keeping.CollectGarbage(dry_run=dry_run), run)


async def held_by_all(lab: Lab) -> Cid:
    """Nobody brings a copy to who lost its own."""
    for _ in range(3):
        await lab.add(replace(STORAGE, repair_budget_bytes=0))
    return (await put_bytes(lab.nodes[0], CONTENT, replicas=3)).cid


async def ended(lab: Lab, node: Node) -> None:
    await node.stop()
    lab.nodes.remove(node)


def test_where_the_ledger_is_gone_nothing_goes_until_its_user_says_so() -> None:
    async def story(lab: Lab) -> None:
        root = await held_by_all(lab)
        node = lab.nodes[2]
        await ended(lab, node)
        blocks = set(node.disk.store.cids())
        node = await lab.again(node, ledger=MemoryKeyValue())
        await asyncio.sleep(3 * DAY_S)
        assert set(node.disk.store.cids()) == blocks
        assert any(
            "ledger" in text and "nothing is removed" in text for text in node.warnings.texts
        )
        assert not await node.collector.make_room(1 << 40)
        await ended(lab, node)
        node = await lab.again(node)  # it is not forgotten with the next start
        await asyncio.sleep(3 * DAY_S)
        assert set(node.disk.store.cids()) == blocks
        assert (await gc(node, dry_run=True)).garbage_blocks == len(blocks)
        await node.pinning().add(node.fetch_session(), root, "", unwatched)
        assert (await gc(node)).garbage_blocks == 0
        assert set(node.disk.store.cids()) == blocks
        assert node.warnings.texts == []
        assert not node.collector.lost.held

    tell(story)


class FullTable(MemoryKeyValue):
    """Can be read, and takes nothing."""

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        raise NoRoom("the disk is full")


async def test_a_lost_ledger_that_cannot_be_written_to_is_lost_as_well() -> None:
    """It was taken for one that knows what is kept, and all blocks for garbage."""
    store, table = MemoryBlockStore(None), FullTable()
    with store.batch() as batch:
        batch.put(Cid.of(b"of somebody"), b"of somebody")
        batch.commit()
    lost = LostLedger(Disk(store, InlineBlocking()), Ledger.of(table, no_trace), Warnings())
    await lost.begin()
    assert lost.held


def test_what_an_earlier_ledger_knows_and_old_packs_lack_is_told_and_fetched() -> None:
    async def story(lab: Lab) -> None:
        root = await held_by_all(lab)
        node = lab.nodes[2]
        await ended(lab, node)
        old = MemoryBlockStore(10**9)
        some = list(node.disk.store.cids())[::2]
        with old.batch() as batch:
            for cid in some:
                batch.put(cid, node.disk.store.get(cid))
            batch.commit()
        node = await lab.again(node, store=old)
        assert not node.collector.lost.held
        collected = await gc(node)
        assert collected.garbage_blocks == 0
        await asyncio.sleep(DAY_S)
        assert list(local_blocks(node.disk.store, root, Leaves.READ))
        assert await get_bytes(node, root) == CONTENT

    tell(story)


def test_a_new_home_holds_nothing() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        assert not lab.nodes[0].collector.lost.held
        with lab.nodes[0].disk.store.batch() as batch:  # of an operation that was killed
            batch.put(Cid.of(b"left"), b"left")
            batch.commit()
        node = lab.nodes[0]
        await ended(lab, node)
        node = await lab.again(node)
        await asyncio.sleep(DAY_S)
        assert list(node.disk.store.cids()) == []

    tell(story)
