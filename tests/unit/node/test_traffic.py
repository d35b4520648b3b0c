"""Limits of a node, in virtual time: what leaves, what comes, whose, and that nobody stalls."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from dhtstore.cli.explaining.timelines import lines_of
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.errors import TimedOut
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.traffic.gate import Gate
from dhtstore.node.traffic.traffic import Pull, Traffic
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    BUSY_REST_MAX_S,
    CHUNK_SIZE_BYTES,
    KIB,
    LIMIT_BURST_S,
    LIMIT_MIN_BYTES_PER_S,
    MIB,
    SERVED_LATELY_S,
    SERVED_PLACE_S,
)
from dhtstore.transfer.fair_queue import Payer
from dhtstore.transfer.priority import Priority
from tests.unit.node.data_plane import Peer, World, play

LIMIT = 4_000_000
CONTENT = random.Random(3).randbytes(40 * CHUNK_SIZE_BYTES)


async def _nothing(outputs: object) -> None:
    """The file is not looked at."""


async def fetched(
    getter: Peer,
    link: Link,
    root: Cid,
    priority: Priority = Priority.FOREGROUND,
    timeout_s: float | None = None,
) -> float:
    """Fetch a file; how long that takes."""
    begun_s = asyncio.get_running_loop().time()
    session = FetchSession(
        getter.disk, FixedHolders([link]), traffic=getter.traffic, priority=priority
    )
    async with session:
        await session.fetch(FileWalk(root), Delivery(_nothing), timeout_s=timeout_s)
    return asyncio.get_running_loop().time() - begun_s


@pytest.mark.parametrize("side", ["up", "down"])
def test_ten_seconds_bring_what_the_limit_says(side: str) -> None:
    async def scene(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        root = holder.hold(CONTENT)
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        gate = holder.traffic.up if side == "up" else getter.traffic.down
        gate.limit = LIMIT
        took_s = await fetched(getter, link, root)
        assert len(CONTENT) / took_s == pytest.approx(LIMIT, rel=0.05)
        gate.limit = None
        assert await fetched(getter, link, root) < 2.5  # a window each round trip

    play(scene)


def test_a_fetch_that_the_own_limit_holds_up_says_so() -> None:
    """And not that it reads and writes, or that the holder is slow."""

    async def scene(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        root = holder.hold(CONTENT)
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        getter.traffic.down.limit = LIMIT
        session = FetchSession(getter.disk, FixedHolders([link]), traffic=getter.traffic)
        async with session:
            with pytest.raises(TimedOut, match="waiting for its turn within limit_down") as late:
                await session.fetch(FileWalk(root), Delivery(_nothing), timeout_s=4.0)
            report = vars(late.value)["report"]
            assert report.limited_s == pytest.approx(4.0, rel=0.2)
            assert any("of 4.00 s it waited " in line for line in lines_of(report))
            getter.traffic.down.limit = None
            await session.fetch(FileWalk(root), Delivery(_nothing))
            assert session.report().limited_s == report.limited_s, "nothing waits any more"

    play(scene)


@pytest.mark.parametrize("side", ["up", "down"])
def test_the_lowest_limit_looks_like_no_stall(side: str) -> None:
    """Blocks of 2 MiB at 100 kB/s, and nobody gives anybody up."""

    async def scene(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        blocks = [random.Random(seed).randbytes(2 * MIB) for seed in range(3)]
        with holder.store.batch() as batch:
            for data in blocks:
                batch.put(Cid.of(data), data)
            batch.commit()
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        gate = holder.traffic.up if side == "up" else getter.traffic.down
        gate.limit = LIMIT_MIN_BYTES_PER_S
        for data in blocks:
            await fetched(getter, link, Cid.of(data))
        assert link.alive
        assert asyncio.get_running_loop().time() > 2 * 2 * MIB / LIMIT_MIN_BYTES_PER_S

    play(scene)


def test_a_peer_with_many_requests_gets_no_more_than_one_with_one() -> None:
    async def scene(world: World) -> None:
        holder = await world.peer("holder")
        root = holder.hold(CONTENT)
        few, many = await world.peer("few"), await world.peer("many")
        links = [await each.links.to(holder.key, [holder.address], 5.0) for each in (few, many)]
        holder.traffic.up.limit = LIMIT
        one = asyncio.ensure_future(fetched(few, links[0], root))
        others = [asyncio.ensure_future(fetched(many, links[1], root)) for _ in range(5)]
        took_s = await one
        # its half of the limit, whatever the other asks for
        assert len(CONTENT) / took_s == pytest.approx(LIMIT / 2, rel=0.1)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    play(scene)


def test_a_machine_with_many_keys_gets_no_more_than_one_with_one() -> None:
    async def scene(world: World) -> None:
        holder = await world.peer("holder")
        root = holder.hold(CONTENT)
        alone = await world.peer("alone", host="10.0.1.1")
        crowd = [await world.peer(f"crowd {number}") for number in range(5)]
        holder.traffic.up.limit = LIMIT
        link = await alone.links.to(holder.key, [holder.address], 5.0)
        one = asyncio.ensure_future(fetched(alone, link, root))
        links = [await each.links.to(holder.key, [holder.address], 5.0) for each in crowd]
        others = [
            asyncio.ensure_future(fetched(each, link, root))
            for each, link in zip(crowd, links, strict=True)
        ]
        # its half of the limit, whatever the others are called
        assert len(CONTENT) / await one == pytest.approx(LIMIT / 2, rel=0.1)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    play(scene)


def test_who_asks_for_large_blocks_pays_for_what_is_more_than_a_turn() -> None:
    """Blocks of 2 MiB and of 64 KiB at 1 MB/s, where a turn brings 50 kB."""

    async def scene(world: World) -> None:
        traffic = Traffic()
        traffic.down.limit = 1_000_000
        got = [0, 0]
        pulls = [Pull(traffic, Priority.FOREGROUND, Payer(f"{n}", n, n)) for n in range(2)]

        def ask(number: int, count: int) -> None:
            got[number] += count
            pulls[number].asked(count)
            pulls[number].wait()

        for number, count in enumerate((2 * MIB, 64 * KIB)):
            pulls[number].tell(partial(ask, number, count))
            pulls[number].wait()
        await asyncio.sleep(100.0)
        assert abs(got[0] - got[1]) <= 4 * MIB
        assert sum(got) == pytest.approx(100e6, rel=0.05)

    play(scene)


def test_a_fetch_that_ended_takes_nobodys_turn() -> None:
    async def scene(world: World) -> None:
        traffic, loop = Traffic(), asyncio.get_running_loop()
        traffic.down.limit = 100_000
        traffic.down.charge(100_000)
        gone = Pull(traffic, Priority.FOREGROUND, Payer.alone())
        gone.begin()
        gone.wait()
        gone.end()
        await traffic.down.passed(Payer.alone(), 1000)
        assert loop.time() == pytest.approx(1.0, abs=0.01)
        assert gone.most(MIB) == 0

    play(scene)


def test_the_background_stands_back_for_a_get() -> None:
    async def scene(world: World) -> None:
        getter, holder = await world.peer("getter"), await world.peer("holder")
        root, other = holder.hold(CONTENT), holder.hold(CONTENT[::-1])
        link = await getter.links.to(holder.key, [holder.address], 5.0)
        getter.traffic.down.limit = LIMIT
        behind = asyncio.ensure_future(fetched(getter, link, other, Priority.BACKGROUND))
        assert len(CONTENT) / await fetched(getter, link, root) > 0.9 * LIMIT
        assert len(CONTENT) / await behind > 0.45 * LIMIT

    play(scene)


def test_without_a_limit_the_background_asks_for_one_block_at_a_time_beside_others() -> None:
    async def scene(world: World) -> None:
        traffic = Traffic()
        behind = Pull(traffic, Priority.BACKGROUND, Payer.alone())
        assert behind.most(32 * MIB) == 32 * MIB
        user = Pull(traffic, Priority.FOREGROUND, Payer.alone())
        user.begin()
        assert (user.most(32 * MIB), behind.most(32 * MIB)) == (32 * MIB, BLOCK_SIZE_MAX_BYTES)
        user.end()
        assert behind.most(32 * MIB) == 32 * MIB
        traffic.served()
        assert behind.most(32 * MIB) == BLOCK_SIZE_MAX_BYTES
        await asyncio.sleep(2 * SERVED_LATELY_S)
        assert behind.most(32 * MIB) == 32 * MIB

    play(scene)


def test_no_more_are_served_than_a_limit_feeds_and_others_hear_so() -> None:
    async def scene(world: World) -> None:
        holder = await world.peer("holder")
        root = holder.hold(CONTENT[:CHUNK_SIZE_BYTES])
        first, second = await world.peer("first"), await world.peer("second")
        links = [await each.links.to(holder.key, [holder.address], 5.0) for each in (first, second)]
        holder.traffic.up.limit = LIMIT_MIN_BYTES_PER_S
        served = asyncio.ensure_future(fetched(first, links[0], root))
        await asyncio.sleep(1.0)
        with pytest.raises(TimedOut, match="busy") as late:
            await fetched(second, links[1], root, timeout_s=2.0)
        assert "limit" in str(late.value.causes)
        waited = asyncio.ensure_future(fetched(second, links[1], root))
        await served
        served_s = world.loop.time()
        await waited
        took_s = BUSY_REST_MAX_S + SERVED_PLACE_S + CHUNK_SIZE_BYTES / LIMIT_MIN_BYTES_PER_S + 1
        assert world.loop.time() - served_s < took_s

    play(scene)


def test_a_machine_with_many_keys_does_not_take_all_places() -> None:
    async def scene(world: World) -> None:
        holder = await world.peer("holder")
        root = holder.hold(CONTENT[: 4 * CHUNK_SIZE_BYTES])
        alone = await world.peer("alone", host="10.0.1.1")
        crowd = [await world.peer(f"crowd {number}") for number in range(4)]
        holder.traffic.up.limit = 2 * LIMIT_MIN_BYTES_PER_S
        links = [await each.links.to(holder.key, [holder.address], 5.0) for each in crowd]
        others = [
            asyncio.ensure_future(fetched(each, link, root))
            for each, link in zip(crowd, links, strict=True)
        ]
        await asyncio.sleep(1.0)
        link = await alone.links.to(holder.key, [holder.address], 5.0)
        took_s = await fetched(alone, link, root)
        assert took_s < 1.3 * 4 * CHUNK_SIZE_BYTES / LIMIT_MIN_BYTES_PER_S
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    play(scene)


def test_a_change_counts_at_once_for_who_waits() -> None:
    async def scene(world: World) -> None:
        gate, loop = Gate(), asyncio.get_running_loop()
        gate.limit = 1000
        await gate.passed(Payer.alone(), 1_000_000)
        waiting = asyncio.ensure_future(gate.passed(Payer.alone(), 1000))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        gate.limit = None
        await waiting
        assert loop.time() < 2.0

    play(scene)


def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    async def scene(world: World) -> None:
        gate, loop = Gate(), asyncio.get_running_loop()
        gate.limit = 1000
        await gate.passed(Payer.alone(), 1000)
        gone = asyncio.ensure_future(gate.passed(Payer.alone(), 1_000_000))
        await asyncio.sleep(0.1)
        gone.cancel()
        await gate.passed(Payer.alone(), 1000)
        assert loop.time() == pytest.approx(1.0, abs=LIMIT_BURST_S)

    play(scene)
