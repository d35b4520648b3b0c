"""Memory counts the bytes that arrive, whatever their parents and their holders claim."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence

import pytest

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.content.dag import children
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Output, Piece
from dhtstore.model.block import Block
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import FETCH_MEMORY_BYTES, MIB, OUTPUT_BYTES
from dhtstore.wire.frames import Blocks, GetBlocks
from tests.hostile.fetching.test_walk_memory import Strange, shards
from tests.unit.node.data_plane import Peer, World, play

ENTRIES = 192
BESIDE_BYTES = 24 * MIB  # what is on its way in the simulated network, and all else


def lying_directory(store: Peer, count: int = ENTRIES) -> Cid:
    """Files of 1 MiB that are said to take one byte each."""
    leaves = [Block.of(number.to_bytes(4, "big") * (MIB // 4)) for number in range(count)]
    links = [DagLink(leaf.cid, f"{number:04}", 1) for number, leaf in enumerate(leaves)]
    node = dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY)))
    root = Block.of(node, DAG_PB)
    with store.store.batch() as batch:
        for block in (root, *leaves):
            batch.put(block.cid, block.data)
        batch.commit()
    return root.cid


async def get_slowly(
    a: Peer, links: Sequence[Link], root: Cid, memory_bytes: int = FETCH_MEMORY_BYTES
) -> int:
    """Fetch into a sink that takes its time; how much came."""
    size_bytes = 0

    async def sink(outputs: list[Output]) -> None:
        nonlocal size_bytes
        await asyncio.sleep(2)
        size_bytes += sum(len(each.data) for each in outputs if isinstance(each, Piece))

    async with FetchSession(a.disk, FixedHolders(links), memory_bytes) as session:
        await session.fetch(TreeWalk(root), Delivery(sink), timeout_s=600.0)
    return size_bytes


def most_bytes(count_of_holders: int, **limits: int) -> int:
    """The most memory that a fetch of the lying directory took."""
    most = 0

    async def scene(world: World) -> None:
        nonlocal most
        a, *holders = [await world.peer(name) for name in "abcd"[: 1 + count_of_holders]]
        roots = [lying_directory(holder) for holder in holders]
        links = [await a.links.to(each.key, [each.address], 5.0) for each in holders]
        tracemalloc.start()
        before_bytes, _ = tracemalloc.get_traced_memory()
        assert await get_slowly(a, links, roots[0], **limits) == ENTRIES * MIB
        most = tracemalloc.get_traced_memory()[1] - before_bytes
        tracemalloc.stop()

    play(scene)
    return most


def test_entries_that_claim_a_byte_and_bring_a_mebibyte_stay_in_the_window() -> None:
    assert most_bytes(1) <= FETCH_MEMORY_BYTES + BESIDE_BYTES


def test_so_they_do_when_several_holders_send_them_at_once() -> None:
    assert most_bytes(3) <= FETCH_MEMORY_BYTES + BESIDE_BYTES


def test_a_fetch_for_strangers_can_be_given_less() -> None:
    assert most_bytes(1, memory_bytes=8 * MIB) <= 8 * MIB + BESIDE_BYTES


def test_a_directory_without_end_waits_for_whoever_reads_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows count as blocks do: what the reader has not taken holds back what is asked for."""
    dag, levels = Strange(), 5
    monkeypatch.setattr(children, "name_hash", lambda name: int(name) << 64 - 3 * levels)
    root, _ = shards(dag, levels)
    memory_bytes, most = MIB, 0

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        with b.store.batch() as batch:
            for cid, data in dag.blocks.items():
                batch.put(cid, data)
            batch.commit()
        link, walk, read = await a.links.to(b.key, [b.address], 5.0), ListWalk(root), 0

        async def sink(outputs: list[Output]) -> None:
            nonlocal read, most
            await asyncio.sleep(2)
            most = max(most, walk._entries - read)
            read += len(outputs)

        async with FetchSession(a.disk, FixedHolders([link]), memory_bytes) as session:
            await session.fetch(walk, Delivery(sink), timeout_s=6000.0)
        assert read == dag.leaves == 8**levels

    play(scene)
    assert most <= 3 * memory_bytes // OUTPUT_BYTES  # with those of blocks on their way


def test_a_holder_that_tells_of_more_than_there_is_costs_no_more_than_asking_others() -> None:
    """It says that each block of a few bytes has a mebibyte, and has that sent, too."""

    async def large(link: Link, request: GetBlocks, reply: Reply) -> None:
        for index in range(len(request.cids)):
            await reply(Blocks(indices=(index,), sizes=(MIB,)), bytes(MIB))

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        liar = await world.peer("liar", {GetBlocks: large})
        content = bytes(range(256)) * 4096 * 5
        root = b.hold(content)
        links = [await a.links.to(each.key, [each.address], 5.0) for each in (liar, b)]
        start_s = world.loop.time()
        assert await get_slowly(a, links, root) == len(content)
        assert world.loop.time() - start_s < 30.0

    play(scene)
