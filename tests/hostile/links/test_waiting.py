"""What a peer can make this node wait for, and how long."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Stream
from dhtstore.node.links import peer_requests
from dhtstore.node.links.frame_io import write_frame
from dhtstore.node.links.link import Arrival, Link
from dhtstore.node.links.outbox import Outbox
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import (
    KIB,
    MIB,
    RATE_MIN_BYTES_PER_S,
    REQUEST_TIMEOUT_S,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.wire.frames import PREFIX, Blocks, Cancel, Declined, GetBlocks, Release, encode
from tests.unit.node.data_plane import World, play, raw_session, read
from tests.unit.node.links.ends import Ends
from tests.unit.node.links.ends import play as play_ends


def test_a_crowd_of_requests_does_not_keep_the_answers_they_wait_for_from_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many Replicates do: each handler asks the peer for blocks, whose answers came behind more
    requests than were read."""
    monkeypatch.setattr(peer_requests, "PEER_REQUESTS_MAX", 4)
    served = []

    async def fetch(link: Link, request: Release, reply: Reply) -> None:
        def taken(arrival: Arrival) -> None:
            served.append(arrival.missing)

        await link.get_blocks([Cid.of(b"x")], taken, lambda response: None)
        await reply(Declined(code="done", reason=""))

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b", {Release: fetch})
        stream = await raw_session(a, b)
        for number in range(8):
            await write_frame(stream, Release(reservation=1, request=number))
        ends = 0
        async with asyncio.timeout(REQUEST_TIMEOUT_S / 2):
            while ends < 8:
                frame, _ = await read(stream)
                ends += isinstance(frame, Declined)
                if isinstance(frame, GetBlocks):
                    answer = Blocks(indices=(), sizes=(), missing=(0,), request=frame.request)
                    await write_frame(stream, answer)
        assert served == [(0,)] * 4

    play(scene)


async def forever(link: Link, request: Release, reply: Reply) -> None:
    """Keeps the link from being idle."""
    await asyncio.Event().wait()


async def busy_session(world: World) -> Stream:
    a, b = await world.peer("a"), await world.peer("b", {Release: forever})
    stream = await raw_session(a, b)
    await write_frame(stream, Release(reservation=1, request=99))
    return stream


async def drip(stream: Stream, data: bytes, every_s: float) -> None:
    for at in range(len(data)):
        await stream.write(data[at : at + 1])
        await asyncio.sleep(every_s)


def test_a_prefix_is_as_due_as_the_rest_once_its_first_byte_has_come() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            await drip(stream, encode(Release(reservation=1, request=1)), REQUEST_TIMEOUT_S / 4)
        assert world.loop.time() - start_s < 1.5 * REQUEST_TIMEOUT_S

    play(scene)


def test_a_slow_honest_line_has_time_for_a_large_frame() -> None:
    async def scene(world: World) -> None:
        stream = await busy_session(world)
        await stream.write(PREFIX.pack(2, 2 * MIB) + b"\x91\x6f")  # a notice of a later version
        for _ in range(2 * MIB // (20 * KIB)):
            await stream.write(bytes(20 * KIB))
            await asyncio.sleep(1)
        await stream.write(bytes(2 * MIB % (20 * KIB)))
        await write_frame(stream, GetBlocks(cids=(Cid.of(b"x").raw,), request=1))
        assert isinstance((await read(stream))[0], Blocks)

    play(scene)


def test_a_large_frame_that_trickles_in_ends_the_link() -> None:
    async def scene(world: World) -> None:
        stream = await busy_session(world)
        await stream.write(PREFIX.pack(2, 2 * MIB) + b"\x91\x6f")
        start_s = world.loop.time()
        with pytest.raises(ConnectionLost):
            await drip(stream, bytes(10_000), 1)
        due_s = REQUEST_TIMEOUT_S + 2 * MIB / RATE_MIN_BYTES_PER_S
        assert world.loop.time() - start_s == pytest.approx(due_s, rel=0.1)

    play(scene)


async def reading_slowly(world: World, rate_bytes_per_s: int, for_s: int) -> bool:
    """Whether a peer that asks for much and reads at that rate has its link after all."""
    a, b = await world.peer("a"), await world.peer("b")
    b.hold(bytes(2 * MIB))
    stream = await raw_session(a, b)
    cids = (Cid.of(bytes(MIB)).raw,) * WANTS_PER_REQUEST_MAX
    for number in range(4):
        await write_frame(stream, GetBlocks(cids=cids, request=number))
    for _ in range(for_s):
        try:
            await stream.read_exactly(rate_bytes_per_s)
        except ConnectionLost:
            break
        await asyncio.sleep(1)
    return bool(b.links.open_links())


def test_a_peer_that_asks_and_reads_a_little_now_and_then_is_cut_off() -> None:
    async def scene(world: World) -> None:
        assert not await reading_slowly(world, 10 * KIB, for_s=600)

    play(scene)


def test_a_peer_with_a_slow_line_is_served() -> None:
    async def scene(world: World) -> None:
        assert await reading_slowly(world, 20 * KIB, for_s=600)

    play(scene)


def test_small_frames_taken_one_by_one_do_not_hold_a_link() -> None:
    """One each 29 seconds, of 256 that may wait, was two hours."""

    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        sending = ends.tasks.spawn(outbox.run(), "send")
        outbox.queue(Blocks(indices=(0,), sizes=(2 * MIB,)), bytes(2 * MIB))
        for number in range(100):
            outbox.queue(Cancel(number))
        await ends.far.read_exactly(MIB // 4)  # the rest is more than the buffers hold
        for _ in range(100):
            await asyncio.sleep(REQUEST_TIMEOUT_S - 1)
            if sending.done():
                break
            await ends.far.read_exactly(20)
        with pytest.raises(ConnectionLost, match="too slowly"):
            await sending
        earned_s = 2 * MIB / RATE_MIN_BYTES_PER_S
        assert ends.clock.monotonic_s() < earned_s + 2 * REQUEST_TIMEOUT_S

    play_ends(scene)
