"""CARs come in beside all else that a node does, and keep all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.errors import BlockMissing, MalformedCar, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.node.cars.importing import CarTaken
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from dhtstore.params import COLLECT_SOON_S, MIB
from simulations.events.users import get_bytes
from tests.cars import car_of
from tests.simulation.harness import Lab, small, tell

SOON_S = 3 * COLLECT_SOON_S


def file_of(content: bytes) -> list[tuple[Cid, bytes]]:
    """Blocks of a file, its root first."""
    builder, blocks = FileBuilder(), list[tuple[Cid, bytes]]()
    for at in range(0, len(content), MIB):
        chunk = content[at : at + MIB]
        blocks.append((Cid.of(chunk), chunk))
        blocks += [(b.cid, bytes(b.data)) for b in builder.add_leaf(Cid.of(chunk), len(chunk))]
    root = builder.finish()
    blocks += [(block.cid, bytes(block.data)) for block in root.blocks]
    blocks.sort(key=lambda block: block[0] != root.cid)
    return blocks


def content_of(seed: int, mib: int = 3) -> bytes:
    return b"".join(bytes([seed, at]) * (MIB // 2) for at in range(mib))


async def slowly(raw: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for at in range(0, len(raw), MIB // 2):
        yield raw[at : at + MIB // 2]
        await asyncio.sleep(pause_s)


async def bring(
    node: Node,
    raw: bytes,
    *,
    name: str = "",
    partial: bool = False,
    size_bytes: int | None = None,
    pause_s: float = 0.0,
) -> CarTaken:
    return await node.car_imports().take(
        slowly(raw, pause_s),
        name=name,
        partial_dags=partial,
        size_bytes=size_bytes,
        progress=unwatched,
    )


def test_what_comes_in_is_announced_and_no_collection_takes_it_meanwhile() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(4)
        node, blocks = lab.nodes[0], file_of(content_of(1))
        raw = car_of([blocks[0][0]], blocks)
        coming = asyncio.ensure_future(bring(node, raw, name="film", pause_s=20.0))
        for _ in range(6):
            await asyncio.sleep(20.0)
            await node.collector.collect()
        taken = await coming
        assert (taken.pinned, taken.blocks) == (True, len(blocks))
        assert [(pin.cid, pin.name) for pin in node.ledger.pins.list()] == [(blocks[0][0], "film")]
        await node.collector.collect()
        assert node.ports.store.count() == len(blocks)
        assert await get_bytes(lab.nodes[3], blocks[0][0]) == content_of(1)

    tell(story)


def test_of_what_fails_or_is_cut_short_nothing_stays() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        node, one, two = lab.nodes[0], file_of(content_of(1)), file_of(content_of(2))
        roots = [one[0][0], two[0][0]]
        with pytest.raises(BlockMissing, match=str(two[-1][0])):
            await bring(node, car_of(roots, [*one, *two[:-1]]))
        with pytest.raises(MalformedCar, match="ends at byte"):
            await bring(node, car_of(roots, [*one, *two])[:-1])
        with pytest.raises(MalformedCar, match="no roots"):
            await bring(node, car_of([], one))
        cut = asyncio.ensure_future(bring(node, car_of(roots, [*one, *two]), pause_s=5.0))
        await asyncio.sleep(12.0)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut
        assert node.ledger.pins.list() == []
        await asyncio.sleep(SOON_S)
        assert node.ports.store.count() == 0
        await bring(node, car_of(roots, [*two, *reversed(one)]))
        assert sorted(pin.cid for pin in node.ledger.pins.list()) == sorted(roots)

    tell(story)


def test_what_is_missing_in_the_file_may_be_here() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        node, blocks = lab.nodes[0], file_of(content_of(1))
        root = blocks[0][0]
        half = await bring(node, car_of([root], blocks[:2]), partial=True)
        assert not half.pinned
        assert node.ledger.pins.list() == []
        await node.collector.collect()
        assert node.ports.store.count() == 2
        assert (await bring(node, car_of([root], blocks[2:]))).pinned
        assert (await bring(node, car_of([root], []), name="again")).pinned

    tell(story)


@pytest.mark.parametrize("told", [False, True])
def test_what_is_cached_gives_way_and_what_is_kept_does_not(told: bool) -> None:
    async def story(lab: Lab) -> None:
        node = await lab.add(small(8 * MIB))
        kept, cached, more = (file_of(content_of(seed)) for seed in (1, 2, 3))
        await bring(node, car_of([kept[0][0]], kept))
        await bring(node, car_of([cached[0][0]], cached), partial=True)
        raw = car_of([more[0][0]], more)
        await bring(node, raw, size_bytes=len(raw) if told else None)
        assert node.ledger.cache.oldest_first() == []
        too_much = file_of(content_of(4))
        raw = car_of([too_much[0][0]], too_much)
        with pytest.raises(NoRoom):
            await bring(node, raw, size_bytes=len(raw) if told else None)
        assert len(node.ledger.pins.list()) == 2
        assert node.ports.store.used_bytes <= 8 * MIB
        await node.collector.collect()
        assert node.ports.store.count() == len(kept) + len(more)

    tell(story)
