"""Fetching: complete, verified, from many peers, and with a cause for every failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.walk import Leaf, Output, Piece, Walk
from dhtstore.errors import IntegrityFailure, NoRoom, NotFound, TimedOut, Unreachable
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import Finds, FixedHolders, HolderSearch, SearchExtent
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links import buffers, frame_io
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.operations.explaining.causes import Cause, CauseKind
from dhtstore.operations.explaining.report import HolderTimeline
from dhtstore.params import (
    CHUNK_SIZE_BYTES,
    FETCH_MEMORY_BYTES,
    LINKS_PER_NODE_MAX,
    LOOKUPS_PER_UNIT_MAX,
    MIB,
)
from dhtstore.transfer.in_order import InOrder
from dhtstore.wire.frames import Blocks, GetBlocks
from simulations.world.ports.blocking import InlineBlocking
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.walks import nowhere

T = TypeVar("T")
SOMEBODY = PublicKey(bytes(32))
CONTENT = random.Random(7).randbytes(5 * CHUNK_SIZE_BYTES + 123)


@dataclass
class File:
    """A sink that puts pieces where they belong and remembers their order."""

    data: bytearray = field(default_factory=lambda: bytearray(len(CONTENT)))
    offsets: list[int] = field(default_factory=list)

    async def accept(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Piece):
                self.offsets.append(output.offset)
                self.data[output.offset : output.offset + len(output.data)] = output.data


@dataclass
class Recalled:
    """What an earlier run wrote; it claims all of it."""

    data: bytes

    def claims(self, leaf: Leaf) -> bool:
        return True

    def recall(self, leaf: Leaf, cid: Cid) -> bytes | None:
        data = self.data[leaf.offset : leaf.offset + leaf.size_bytes]
        return data if cid.matches(data) else None


@dataclass
class Searches:
    """A search that counts, and finds what ``found`` says for each number, from 1 on: links, or
    keys of those that cannot be reached."""

    found: Callable[[int], Sequence[Link | PublicKey]]
    count: int = 0

    async def search(self, unit: Unit, finds: Finds) -> None:
        self.count += 1
        for one in self.found(self.count):
            if isinstance(one, Link):
                finds.connected(one)
            else:
                finds.unreached(one, Cause(CauseKind.DIAL_TIMEOUT, "no answer"), nowhere)


async def fetch(
    a: Peer,
    walk: Walk,
    search: HolderSearch,
    delivery: Delivery,
    *,
    timeout_s: float | None = None,
) -> list[HolderTimeline]:
    """One fetch in a session of its own."""
    async with FetchSession(a.disk, search) as session:
        await session.fetch(walk, delivery, timeout_s=timeout_s)
        return session.shares()


async def get(
    a: Peer,
    root: Cid,
    links: Sequence[Link],
    file: File,
    timeout_s: float | None = None,
    **options: object,
) -> None:
    delivery = Delivery(file.accept, **options)  # type: ignore[arg-type]
    await fetch(a, FileWalk(root), FixedHolders(links), delivery, timeout_s=timeout_s)


async def links_of(a: Peer, *others: Peer) -> list[Link]:
    return [await a.links.to(other.key, [other.address], 5.0) for other in others]


async def lie(link: Link, request: GetBlocks, reply: Reply) -> None:
    """Serve bytes that do not hash to what was asked for."""
    count = len(request.cids)
    await reply(Blocks(indices=tuple(range(count)), sizes=(4,) * count), b"lies" * count)


async def stall(link: Link, request: GetBlocks, reply: Reply) -> None:
    await asyncio.Event().wait()


def test_a_file_comes_whole_from_one_holder() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        file, told = File(), list[int]()
        await get(a, b.hold(CONTENT), await links_of(a, b), file, progress=told.append)
        assert file.data == CONTENT
        assert told == sorted(told)
        assert told[-1] >= len(CONTENT)
        assert a.store.count() == 0, "nothing enters the store unless asked"

    play(scene)


def test_three_holders_share_the_work() -> None:
    async def scene(world: World) -> None:
        a, *holders = [await world.peer(name) for name in "abcd"]
        roots = [holder.hold(CONTENT) for holder in holders]
        file = File()
        await get(a, roots[0], await links_of(a, *holders), file)
        assert file.data == CONTENT
        assert all(holder.server.sent_bytes > 0 for holder in holders)

    play(scene)


def test_pieces_come_in_order_when_asked() -> None:
    async def scene(world: World) -> None:
        a, *holders = [await world.peer(name) for name in "abcd"]
        roots = [holder.hold(CONTENT) for holder in holders]
        file = File()
        await get(a, roots[0], await links_of(a, *holders), file, in_order=InOrder())
        assert file.data == CONTENT
        assert file.offsets == sorted(file.offsets)

    play(scene)


@pytest.mark.parametrize(
    "delivery_to",
    [
        lambda file: Delivery(file.accept),
        lambda file: Delivery(file.accept, in_order=InOrder()),
        lambda file: Delivery(file.accept, keep=lambda blocks: None),
    ],
    ids=["any order", "in order", "kept"],
)
def test_buffers_are_given_back_when_their_blocks_are_written(
    monkeypatch: pytest.MonkeyPatch, delivery_to: Callable[[File], Delivery]
) -> None:
    pool, made, make = buffers.BufferPool(CHUNK_SIZE_BYTES, 40), list[int](), buffers._resizable

    def counted(size_bytes: int) -> bytearray:
        made.append(size_bytes)
        return make(size_bytes)

    monkeypatch.setattr(frame_io, "block_buffers", pool)
    monkeypatch.setattr(buffers, "_resizable", counted)

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        root, links = b.hold(CONTENT), await links_of(a, b)
        for _ in range(2):
            made.clear()
            file = File()
            await fetch(a, FileWalk(root), FixedHolders(links), delivery_to(file))
            assert file.data == CONTENT
        assert made == []  # those of the first fetch do for the second
        assert 0 < len(pool._unused) <= 5

    play(scene)


def test_local_blocks_are_not_asked_of_anybody() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        root = a.hold(CONTENT)
        file = File()
        await get(a, root, await links_of(a, b), file)
        assert file.data == CONTENT
        assert b.server.sent_bytes == 0
        await get(a, root, [], File())

    play(scene)


def test_what_the_output_has_is_not_fetched_again() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        file, earlier = File(), bytearray(CONTENT)
        earlier[CHUNK_SIZE_BYTES + 5] ^= 1  # changed since it was written
        root = b.hold(CONTENT)
        await get(a, root, await links_of(a, b), file, earlier=Recalled(bytes(earlier)))
        assert file.data == CONTENT
        assert b.server.sent_bytes < 1.1 * CHUNK_SIZE_BYTES

    play(scene)


def test_blocks_are_kept_only_after_they_were_verified() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        liar = await world.peer("liar", {GetBlocks: lie})
        kept: list[tuple[Cid, bytes]] = []
        root = b.hold(CONTENT)
        await get(
            a,
            root,
            await links_of(a, liar, b),
            File(),
            keep=lambda blocks: kept.extend((cid, bytes(data)) for cid, data in blocks),
        )
        assert len(kept) == b.store.count()
        assert all(cid.matches(data) for cid, data in kept)

    play(scene)


def test_a_liar_is_banned_and_costs_only_its_own_blocks() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        liar = await world.peer("liar", {GetBlocks: lie})
        file = File()
        await get(a, b.hold(CONTENT), await links_of(a, liar, b), file)
        assert file.data == CONTENT

    play(scene)


def test_only_liars_is_an_integrity_failure_that_names_them() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        liar = await world.peer("liar", {GetBlocks: lie})
        with pytest.raises(IntegrityFailure) as failure:
            await get(a, Cid.of(b"truth"), await links_of(a, liar), File())
        assert "wrong bytes" in failure.value.causes[format_node(node_id(liar.key))]

    play(scene)


def test_a_stalled_holder_is_hedged_by_another() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        slow = await world.peer("slow", {GetBlocks: stall})
        file, start = File(), world.loop.time()
        await get(a, b.hold(CONTENT), await links_of(a, slow, b), file)
        assert file.data == CONTENT
        assert world.loop.time() - start < 5.0

    play(scene)


def test_a_holder_that_dies_meanwhile_only_costs_a_second_request() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        b.hold(CONTENT)
        root = c.hold(CONTENT)
        links = await links_of(a, b, c)
        file = File()

        def progress(done_bytes: int) -> None:
            if done_bytes > 2 * MIB:
                world.network.crash(b.address, silent=False)

        await get(a, root, links, file, progress=progress)
        assert file.data == CONTENT

    play(scene)


def test_a_holder_of_half_the_blocks_gives_that_half() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        root = b.hold(CONTENT)
        c.hold(CONTENT)
        leaves = [
            Cid.of(CONTENT[at : at + CHUNK_SIZE_BYTES])
            for at in range(0, len(CONTENT), CHUNK_SIZE_BYTES)
        ]
        b.store.delete(leaves[::2])
        c.store.delete(leaves[1::2])
        file = File()
        await get(a, root, await links_of(a, b, c), file)
        assert file.data == CONTENT

    play(scene)


def test_that_nobody_answered_is_not_told_as_not_found() -> None:
    class Unanswered:
        async def search(self, unit: Unit, finds: Finds) -> None:
            raise Unreachable("none of 7 known nodes answered")

    async def scene(world: World) -> None:
        a = await world.peer("a")
        with pytest.raises(Unreachable, match="none of 7 known nodes answered"):
            await fetch(a, FileWalk(Cid.of(b"?")), Unanswered(), Delivery())

    play(scene)


def test_not_found_tells_how_many_answered() -> None:
    class Partial:
        async def search(self, unit: Unit, finds: Finds) -> None:
            finds.searched(SearchExtent("2 of 7 nodes asked answered", 7, 2))

    async def scene(world: World) -> None:
        a = await world.peer("a")
        with pytest.raises(NotFound, match=r"\(2 of 7 nodes asked answered\)"):
            await fetch(a, FileWalk(Cid.of(b"?")), Partial(), Delivery())

    play(scene)


def test_nobody_who_provides_is_not_found() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        search = Searches(lambda _: [])
        with pytest.raises(NotFound):
            await fetch(a, FileWalk(Cid.of(b"x")), search, Delivery(File().accept))
        assert search.count == 1

    play(scene)


def test_providers_that_do_not_answer_are_unreachable_with_their_causes() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        search = Searches(lambda _: [SOMEBODY])
        with pytest.raises(Unreachable) as failure:
            await fetch(a, FileWalk(Cid.of(b"x")), search, Delivery(File().accept))
        assert failure.value.causes == {format_node(node_id(SOMEBODY)): "no answer"}

    play(scene)


def test_a_provider_without_the_block_has_it_no_more_and_looked_for_again() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        (link,) = await links_of(a, b)
        search = Searches(lambda _: [link])
        with pytest.raises(NotFound, match="any more") as failure:
            await fetch(a, FileWalk(Cid.of(b"x")), search, Delivery(File().accept))
        assert "does not have" in failure.value.causes[format_node(node_id(b.key))]
        assert search.count == LOOKUPS_PER_UNIT_MAX

    play(scene)


def test_holders_are_looked_for_again_when_those_found_are_gone() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        root = c.hold(CONTENT)
        empty, full = await links_of(a, b, c)
        search = Searches(lambda number: [empty if number == 1 else full])
        file = File()
        await fetch(a, FileWalk(root), search, Delivery(file.accept))
        assert file.data == CONTENT
        assert search.count == 2

    play(scene)


def test_a_deadline_that_passes_is_timed_out() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        slow = await world.peer("slow", {GetBlocks: stall})
        start = world.loop.time()
        with pytest.raises(TimedOut):
            await get(a, Cid.of(b"x"), await links_of(a, slow), File(), timeout_s=3.0)
        assert world.loop.time() - start < 4.0

    play(scene)


def test_an_error_of_the_sink_ends_the_fetch() -> None:
    async def full(outputs: list[Output]) -> None:
        raise NoRoom("the disk is full")

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        links = await links_of(a, b)
        root = b.hold(CONTENT)
        with pytest.raises(NoRoom):
            await fetch(a, FileWalk(root), FixedHolders(links), Delivery(full))
        await asyncio.sleep(1)
        assert not links[0].busy

    play(scene)


class _SlowDisk(InlineBlocking):
    """Every write takes a while, so that blocks pile up if they can."""

    async def run(self, function: Callable[..., T], *args: object) -> T:
        await asyncio.sleep(0.05)
        return function(*args)


def test_memory_is_bounded_by_the_window_whatever_the_file() -> None:
    most = 0

    async def scene(world: World) -> None:
        nonlocal most
        a, b = await world.peer("a"), await world.peer("b")
        root = b.hold(bytes(64 * MIB))
        in_use = 0

        async def sink(outputs: list[Output]) -> None:
            nonlocal in_use, most
            written = sum(len(o.data) for o in outputs if isinstance(o, Piece))
            most = max(most, b.server.sent_bytes - in_use)
            in_use += written

        a.disk = Disk(a.store, _SlowDisk())
        await fetch(a, FileWalk(root), FixedHolders(await links_of(a, b)), Delivery(sink))
        assert in_use == 64 * MIB

    play(scene)
    assert most <= FETCH_MEMORY_BYTES + 4 * MIB


def test_the_same_seed_gives_the_same_run() -> None:
    def once() -> tuple[list[int], float, list[str]]:
        file = File()
        ended = 0.0

        async def scene(world: World) -> None:
            nonlocal ended
            a, b, c = [await world.peer(name) for name in "abc"]
            slow = await world.peer("slow", {GetBlocks: stall})
            root = b.hold(CONTENT)
            c.hold(CONTENT)
            await get(a, root, await links_of(a, slow, b, c), file)
            ended = world.loop.time()

        world = play(scene)
        return file.offsets, ended, [event for peer in world.peers for event in peer.events]

    assert once() == once()


def test_an_address_nobody_answers_at_is_told_by_links() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        link = await a.links.dial_unknown(b.address)
        assert link.public_key == b.key
        assert link.remote == Address("10.0.0.2", 7400)

    play(scene)


def test_a_file_that_the_output_has_already_ends_at_once() -> None:
    """Found as a fetch that slept for ever: the last wants were skipped, and nothing woke it."""

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        leaf = Block.of(b"leaf")
        builder = FileBuilder()
        blocks = [leaf]
        for _ in range(LINKS_PER_NODE_MAX + 1):
            blocks += builder.add_leaf(leaf.cid, len(leaf.data))
        root = builder.finish()
        with b.store.batch() as batch:
            for block in [*blocks, *root.blocks]:
                batch.put(block.cid, block.data)
            batch.commit()
        links = await links_of(a, b)
        await get(a, root.cid, links, File(), earlier=Recalled(b"leaf" * 2000), timeout_s=60.0)
        assert world.loop.time() < 5.0

    play(scene)


def test_a_link_that_ended_and_is_found_again_gives_its_wants_back() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        root = b.hold(CONTENT)
        (first,) = await links_of(a, b)

        class Again:
            async def search(self, unit: Unit, finds: Finds) -> None:
                for link in await links_of(a, b):
                    finds.connected(link)

        def progress(done_bytes: int) -> None:
            if done_bytes > MIB and first.alive:
                first.abandon()

        file = File()
        delivery = Delivery(file.accept, progress=progress)
        await fetch(a, FileWalk(root), Again(), delivery, timeout_s=20.0)
        assert file.data == CONTENT
        assert not first.alive

    play(scene)
