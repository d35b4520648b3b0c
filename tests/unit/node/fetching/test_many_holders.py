"""What bad holders cost a fetch from several: their own blocks, and seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory
from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Output, Piece, Want
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.fetching import window
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import Finds, FixedHolders, HolderSearch
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.operations.explaining.report import HolderTimeline
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, FETCH_MEMORY_BYTES, MIB, PROVIDERS_ASKED
from dhtstore.transfer.in_order import InOrder
from dhtstore.wire.frames import GetBlocks
from simulations.world.network.latency import FixedLatency
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.test_holders import OTHER_UNIT
from tests.unit.node.fetching.walks import ListWalk

CONTENT = random.Random(3).randbytes(48 * MIB)
FAST_BYTES_PER_S = 8 * MIB
ALONE_S = len(CONTENT) / FAST_BYTES_PER_S


@dataclass
class Sink:
    data: bytearray = field(default_factory=lambda: bytearray(len(CONTENT)))

    async def accept(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Piece):
                self.data[output.offset : output.offset + len(output.data)] = output.data


@dataclass
class Rounds:
    """A search that finds ``rounds`` one after the other, and then the last again; ``at_s`` is
    when it was asked."""

    world: World
    rounds: Sequence[Sequence[Link]]
    at_s: list[float] = field(default_factory=list)

    async def search(self, unit: Unit, finds: Finds) -> None:
        number = min(len(self.at_s), len(self.rounds) - 1)
        self.at_s.append(self.world.loop.time())
        await asyncio.sleep(0.2)  # a lookup
        for link in self.rounds[number]:
            finds.connected(link)


class Holder:
    """Serves until ``stops_after`` answers, then is silent until ``resumed``."""

    def __init__(self, stops_after: int = 0) -> None:
        self.left, self.resumed = stops_after, asyncio.Event()
        self.peer: Peer | None = None

    async def serve(self, link: Link, request: GetBlocks, reply: Reply) -> None:
        assert self.peer is not None
        if self.left <= 0:
            await self.resumed.wait()
        self.left -= 1
        await self.peer.server.serve(link, request, reply)


async def fast(world: World, name: str, rate: float = FAST_BYTES_PER_S) -> Peer:
    peer = await world.peer(name)
    limit(world, peer, rate)
    peer.hold(CONTENT)
    return peer


async def stalling(world: World, name: str, stops_after: int = 0) -> tuple[Peer, Holder]:
    holder = Holder(stops_after)
    holder.peer = await world.peer(name, {GetBlocks: holder.serve})
    limit(world, holder.peer, FAST_BYTES_PER_S)
    holder.peer.hold(CONTENT)
    return holder.peer, holder


def limit(world: World, peer: Peer, up: float) -> None:
    world.network.machine(peer.address).up_bytes_per_s = up


async def links_of(a: Peer, others: Sequence[Peer]) -> list[Link]:
    return [await a.links.to(other.key, [other.address], 5.0) for other in others]


async def got(
    world: World, a: Peer, search: HolderSearch, *, in_order: bool = False
) -> tuple[float, list[HolderTimeline]]:
    """How long a get of the content takes, and who gave what."""
    sink, begun_s = Sink(), world.loop.time()
    ordering = InOrder() if in_order else None
    async with FetchSession(a.disk, search) as session:
        await session.fetch(FileWalk(ROOT), Delivery(sink.accept, in_order=ordering))
        took_s = world.loop.time() - begun_s
        assert sink.data == CONTENT
        return took_s, session.shares()


def root_of_content() -> Cid:
    found: list[Cid] = []

    async def scene(world: World) -> None:
        found.append((await world.peer("a")).hold(CONTENT))

    play(scene)
    return found[0]


ROOT = root_of_content()


def took(
    build: Callable[[World], object], *, in_order: bool = False
) -> tuple[float, list[HolderTimeline]]:
    told: list[tuple[float, list[HolderTimeline]]] = []

    async def scene(world: World) -> None:
        a = await world.peer("a")
        holders = await build(world)  # type: ignore[misc]
        told.append(
            await got(world, a, FixedHolders(await links_of(a, holders)), in_order=in_order)
        )

    play(scene)
    return told[0]


@pytest.mark.parametrize("in_order", [False, True], ids=["any order", "in order"])
def test_a_holder_of_a_megabyte_a_second_costs_two_others_nothing(
    in_order: bool,
) -> None:
    async def build(world: World) -> list[Peer]:
        return [await fast(world, "b", 1e6), await fast(world, "c"), await fast(world, "d")]

    took_s, _ = took(build, in_order=in_order)
    assert took_s < 1.12 * len(CONTENT) / (2 * FAST_BYTES_PER_S + 1e6)


@pytest.mark.parametrize("stops_after", [0, 1, 12])
@pytest.mark.parametrize("in_order", [False, True], ids=["any order", "in order"])
def test_two_of_three_that_fall_silent_cost_seconds(stops_after: int, in_order: bool) -> None:
    async def build(world: World) -> list[Peer]:
        silent = [(await stalling(world, name, stops_after))[0] for name in "bc"]
        return [*silent, await fast(world, "d")]

    took_s, _ = took(build, in_order=in_order)
    assert took_s < ALONE_S + 2.5


def test_a_holder_that_was_silent_for_a_while_is_asked_again_when_it_has_answered() -> None:
    async def scene(world: World) -> None:
        a, d = await world.peer("a"), await fast(world, "d", FAST_BYTES_PER_S / 4)
        silent, holder = await stalling(world, "b", 4)
        world.loop.call_later(4.0, holder.resumed.set)
        links = await links_of(a, [silent, d])
        took_s, shares = await got(world, a, FixedHolders(links))
        assert took_s < 14.0, "d alone takes 24 s"
        assert sum(share.delivered_bytes for share in shares) < 1.1 * len(CONTENT)

    play(scene)


def test_holders_that_accept_and_stall_are_passed_over_in_seconds() -> None:
    """Each round of eight cost 30 s before the next were asked."""

    async def scene(world: World) -> None:
        a = await world.peer("a")
        bad = [(await stalling(world, f"bad{number}"))[0] for number in range(3 * PROVIDERS_ASKED)]
        links = await links_of(a, [*bad, await fast(world, "good")])
        rounds = [links[at : at + PROVIDERS_ASKED] for at in range(0, len(links), PROVIDERS_ASKED)]
        took_s, _ = await got(world, a, Rounds(world, rounds))
        assert took_s < ALONE_S + 3 * 2.5

    play(scene)


def test_a_get_that_began_with_one_holder_finds_those_that_come_later() -> None:
    async def scene(world: World) -> None:
        a, alone = await world.peer("a"), await fast(world, "b", FAST_BYTES_PER_S / 16)
        later = await fast(world, "c")
        [first], links = await links_of(a, [alone]), await links_of(a, [alone, later])
        search = Rounds(world, [[first], links])
        took_s, _ = await got(world, a, search)
        assert took_s < 10 + ALONE_S, "96 s from the first alone"

    play(scene)


def test_a_long_get_looks_for_more_holders_less_and_less_often() -> None:
    async def scene(world: World) -> None:
        a, alone = await world.peer("a"), await fast(world, "b", 64 * 1024)
        search = Rounds(world, [await links_of(a, [alone])])
        took_s, _ = await got(world, a, search)
        assert took_s > 700
        pauses = [later - one for one, later in zip(search.at_s, search.at_s[1:], strict=False)]
        assert 5 < len(pauses) < 60

    play(scene)


def test_memory_is_bounded_whatever_the_number_of_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = [0]
    hold = window.FetchRoom.hold

    def watched(room: window.FetchRoom, size_bytes: int) -> Callable[[], None]:
        gone = hold(room, size_bytes)
        most[0] = max(most[0], room.held_bytes)
        return gone

    monkeypatch.setattr(window.FetchRoom, "hold", watched)

    async def build(world: World) -> list[Peer]:
        return [await fast(world, f"b{number}") for number in range(20)]

    took(build)
    assert 0 < most[0] <= FETCH_MEMORY_BYTES + BLOCK_SIZE_MAX_BYTES


class TwoUnits(ListWalk):
    """The last block is of another unit, and is known of when all others came."""

    def next(self, limit: int) -> list[Want]:
        if self._left > 1:
            return super().next(min(limit, len(self._waiting) - 1))
        return [replace(want, unit=OTHER_UNIT) for want in super().next(limit)]

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        return OTHER_UNIT if OTHER_UNIT.name not in known else None


def test_holders_of_the_next_unit_are_looked_for_before_its_blocks_are_wanted() -> None:
    blocks = [random.Random(number).randbytes(MIB) for number in range(9)]

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        limit(world, b, FAST_BYTES_PER_S)
        with b.store.batch() as batch:
            for block in blocks:
                batch.put(Cid.of(block), block)
            batch.commit()
        search = Rounds(world, [await links_of(a, [b])])
        begun_s = world.loop.time()

        async def sink(outputs: list[Output]) -> None:
            pass

        async with FetchSession(a.disk, search) as session:
            await session.fetch(TwoUnits(blocks), Delivery(sink))
        assert search.at_s == [begun_s, begun_s], "one lookup took 0.2 s, then the other"

    play(scene)


@pytest.mark.parametrize("big", [0, 20 * MIB])
def test_the_files_of_a_directory_come_side_by_side(big: int) -> None:
    """Over 50 ms there and back; one after the other, 400 small files took 20 s and more."""
    files = {f"{number:03}": random.Random(number).randbytes(9000) for number in range(400)}
    if big:
        files["100 a big one"] = CONTENT[:big]

    async def scene(world: World) -> None:
        world.network.latency = FixedLatency(0.025)
        world.network.receive_buffer_bytes = world.network.send_buffer_bytes = 4 * MIB
        a, b = await world.peer("a"), await world.peer("b")
        limit(world, b, 4 * FAST_BYTES_PER_S)
        children = [DirectoryChild(name, b.hold(data), len(data)) for name, data in files.items()]
        root = build_directory(children, UNIXFS_V1_2025)
        with b.store.batch() as batch:
            for block in root.blocks:
                batch.put(block.cid, block.data)
            batch.commit()
        links, begun_s, pieces = await links_of(a, [b]), world.loop.time(), list[Piece]()

        async def sink(outputs: list[Output]) -> None:
            pieces.extend(out for out in outputs if isinstance(out, Piece))

        async with FetchSession(a.disk, FixedHolders(links)) as session:
            await session.fetch(TreeWalk(root.cid), Delivery(sink))
        assert sum(len(piece.data) for piece in pieces) == sum(map(len, files.values()))
        sent_s = sum(map(len, files.values())) / (4 * FAST_BYTES_PER_S)
        assert world.loop.time() - begun_s < sent_s + 1.0, (
            "some round trips: the stream starts slowly, too"
        )

    play(scene)
