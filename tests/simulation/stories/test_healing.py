"""Blocks that rotted on the disk of a node come back whole with the next put, pin or get that keeps
them, and then nothing speaks of them any more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.copies.kept import units_under
from dhtstore.node.flows.verify import Verified, verify
from dhtstore.node.node import Node
from dhtstore.node.scrubbing.damage_places import DamagedPlace
from dhtstore.operations.operation import unwatched
from dhtstore.params import MIB, WRONG_SURVEY_PAUSE_S
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.trace import no_trace
from simulations.events.users import get_bytes, put_bytes
from tests.simulation.harness import Lab, pin, providers_seen, tell
from tests.simulation.stories.test_trees import put_path

CONTENT = random.Random(7).randbytes(5 * MIB)
SURVEYED_S = 2.1 * WRONG_SURVEY_PAUSE_S  # a look may have begun before it was whole
LEAF, ROOT = 3, 0  # places in the order of a walk


async def grow(lab: Lab, count: int) -> None:
    for _ in range(count):
        await lab.add(store=FaultyBlockStore(MemoryBlockStore(10**9)))


def rot(node: Node, root: Cid, *places: int) -> None:
    blocks = list(local_blocks(node.disk.store, root, Leaves.NAMED))
    store = node.disk.store
    assert isinstance(store, FaultyBlockStore)
    for place in places:
        store.rot(blocks[place])


async def verified(node: Node) -> Verified:
    found = await verify(node.completeness, node.identity.now_unix_s(), unwatched)
    node.rot.verified(found.damaged, found.places)
    node.scrub.verified()
    return found


async def in_vain(unit: Unit) -> bool:
    return False


async def put_again(lab: Lab, node: Node, root: Cid) -> None:
    again = await put_bytes(lab.nodes[0], CONTENT, replicas=len(lab.nodes))
    assert again.copies == len(lab.nodes)


async def pin_it(lab: Lab, node: Node, root: Cid) -> None:
    await pin(node, root)


async def get_and_pin(lab: Lab, node: Node, root: Cid) -> None:
    assert await get_bytes(node, root) == CONTENT
    await pin(node, root)


@pytest.mark.parametrize("found", [True, False], ids=["found", "unknown"])
@pytest.mark.parametrize("places", [(LEAF,), (ROOT,), (ROOT, 1, LEAF)])
@pytest.mark.parametrize("heal", [put_again, pin_it, get_and_pin])
@pytest.mark.parametrize("where", [0, 2], ids=["putter", "holder"])
def test_what_rotted_is_whole_again(
    where: int,
    heal: Callable[[Lab, Node, Cid], Awaitable[None]],
    places: tuple[int, ...],
    found: bool,
) -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 4)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=4)).cid
        node = lab.nodes[where]
        node.rot.mend = in_vain  # by itself it would have it back from others
        rot(node, root, *places)
        if found:
            damaged = (await verified(node)).damaged
            assert len(damaged) == len(places)
            await asyncio.sleep(SURVEYED_S)
            assert node.completeness.incomplete == 1
            assert node.warnings.texts != []
        await heal(lab, node, root)
        await asyncio.sleep(SURVEYED_S)
        assert node.rot.rotten == set()
        assert node.ledger.damage.count() == 0
        assert node.completeness.incomplete == 0
        assert node.warnings.texts == []
        healed = await verified(node)
        assert (healed.damaged, healed.incomplete, healed.places) == ([], 0, [])
        [unit] = units_under(node.disk.store, node.ledger, root.raw, 0, no_trace)
        assert node.public_key in await providers_seen(lab.nodes[1], unit)
        assert await get_bytes(lab.nodes[1], root) == CONTENT

    tell(story)


def test_verify_names_the_file_that_a_damaged_block_belongs_to(tmp_path: Path) -> None:
    lost = random.Random(8).randbytes(5000)
    tree = tmp_path / "photos"
    (tree / "2024").mkdir(parents=True)
    (tree / "2024" / "beach.jpg").write_bytes(lost)
    (tree / "2024" / "copy.jpg").write_bytes(lost)
    for number in range(600):  # so that this directory is one of shards
        (tree / f"{number:03}-{'x' * 240}").write_bytes(b"%d" % number)
    leaf = Cid.of(lost)

    async def story(lab: Lab) -> None:
        await grow(lab, 3)
        root = (await put_path(lab.nodes[0], tree)).cid
        await pin(lab.nodes[1], root)
        owner = lab.nodes[0].identity.owner
        for node in lab.nodes:
            store = node.disk.store
            assert isinstance(store, FaultyBlockStore)
            store.rot(leaf)
        told = [(await verified(node)).places for node in lab.nodes]
        path = ("2024", "beach.jpg")
        assert told == [
            [DamagedPlace(leaf, root, "put", "photos", path, b"")],
            [DamagedPlace(leaf, root, "pin", "kept", path, b"")],
            [DamagedPlace(leaf, root, "owner", "", (), owner)],
        ]

    tell(story)


def test_a_block_that_nothing_needs_belongs_to_nothing() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 1)
        node, alone = lab.nodes[0], Cid.of(b"alone")
        async with node.disk.batch() as batch:
            batch.put(alone, b"alone")
            batch.commit()
        store = node.disk.store
        assert isinstance(store, FaultyBlockStore)
        store.rot(alone)
        found = await verified(node)
        assert (found.damaged, found.places, found.incomplete) == ([alone], [], 0)

    tell(story)


def test_what_was_found_before_a_start_is_told_after_it() -> None:
    async def story(lab: Lab) -> None:
        await grow(lab, 2)
        root = (await put_bytes(lab.nodes[0], CONTENT, replicas=2)).cid
        rot(lab.nodes[1], root, LEAF)
        await verified(lab.nodes[1])
        await lab.nodes[1].stop()
        again = await lab.again(lab.nodes[1])
        [warning] = again.warnings.texts
        assert warning.startswith("1 block here has rotted")
        assert "dhtstore verify" in warning

    tell(story)
