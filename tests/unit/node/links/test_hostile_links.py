"""What a broken or hostile peer costs a node."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from dhtstore.errors import ConnectionLost, NotFound, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Stream
from dhtstore.node.links import frame_io, peer_requests
from dhtstore.node.links.buffers import BufferPool, Lease
from dhtstore.node.links.frame_io import write_frame
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import (
    IDLE_CONNECTION_TIMEOUT_S,
    KIB,
    MIB,
    REQUEST_TIMEOUT_S,
    REQUESTS_IN_FLIGHT_MAX,
    SERVED_PARKED_BYTES,
    SERVED_READ_BYTES,
    SERVED_READS_MAX,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.wire.frames import (
    PREFIX,
    Blocks,
    Cancel,
    Declined,
    Frame,
    GetBlocks,
    Release,
    Released,
    encode,
)
from tests.unit.node.data_plane import Peer, World, collect, connected, play, raw_session, read


def junk_frame(header: bytes, body_bytes: int = 0) -> bytes:
    return PREFIX.pack(len(header), body_bytes) + header


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 8,
        junk_frame(b"garbage"),
        junk_frame(b"\x92\x1f\x01", 1),
        PREFIX.pack(3, 2**31),
    ],
    ids=["oversized", "garbage", "unasked body", "huge body"],
)
def test_bytes_that_are_no_frame_end_the_link_and_nothing_else(sent: bytes) -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        honest = await c.links.to(b.key, [b.address], 5.0)
        stream = await raw_session(a, b)
        await stream.write(sent)
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert honest.alive
        assert "link.violation" in b.events

    play(scene)


@pytest.mark.parametrize(
    "message",
    [
        Blocks(indices=(), sizes=(), missing=(0,), request=1),
        Released(request=5),
        Declined(code="x", reason="", request=1),
    ],
    ids=repr,
)
def test_answers_nobody_asked_for_end_the_link(message: Frame) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        await write_frame(stream, message)
        with pytest.raises(ConnectionLost):
            await read(stream)

    play(scene)


def test_a_frame_that_never_ends_ends_the_link() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        await stream.write(PREFIX.pack(100, 0))
        start = world.loop.time()
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert world.loop.time() - start <= REQUEST_TIMEOUT_S + 1

    play(scene)


def test_bytes_of_a_frame_sent_one_by_one_do_not_keep_a_link_open() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        start = world.loop.time()

        async def drip() -> None:
            for _ in range(PREFIX.size):
                await asyncio.sleep(IDLE_CONNECTION_TIMEOUT_S / 2)
                await stream.write(b"\0")

        with pytest.raises(ConnectionLost):
            await drip()
        assert world.loop.time() - start <= 2.5 * IDLE_CONNECTION_TIMEOUT_S

    play(scene)


def test_a_peer_that_asks_for_more_than_agreed_is_cut_off() -> None:
    async def forever(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.Event().wait()

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b", {Release: forever})
        stream = await raw_session(a, b)
        for number in range(REQUESTS_IN_FLIGHT_MAX + 1):
            await write_frame(stream, Release(reservation=1, request=number))
        with pytest.raises(ConnectionLost):
            await read(stream)
        await asyncio.sleep(1)
        assert len(b.supervisor) == 0

    play(scene)


def test_a_peer_that_asks_and_never_reads_is_cut_off_with_little_held_for_it() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        b.hold(bytes(2 * MIB))
        cids = tuple(Cid.of(bytes(MIB)).raw for _ in range(WANTS_PER_REQUEST_MAX))
        stream = await raw_session(a, b)
        for number in range(REQUESTS_IN_FLIGHT_MAX):
            await write_frame(stream, GetBlocks(cids=cids, request=number))
        await asyncio.sleep(2 * REQUEST_TIMEOUT_S)
        with pytest.raises(ConnectionLost):
            await write_frame(stream, Cancel(0))
        assert b.server.sent_bytes <= 16 * MIB
        assert not b.links.open_links()

    play(scene)


def test_peers_that_never_read_give_way_to_one_that_does() -> None:
    async def scene(world: World) -> None:
        b, honest = await world.peer("b"), await world.peer("honest")
        content = bytes(range(256)) * (64 * KIB)
        root = b.hold(content)
        chunks = [Cid.of(content[at : at + MIB]) for at in range(0, len(content), MIB)]
        lazy = [await world.peer(f"lazy {number}") for number in range(3 * SERVED_READS_MAX)]
        request = tuple(cid.raw for cid in chunks) * (WANTS_PER_REQUEST_MAX // len(chunks))
        streams = [await raw_session(peer, b) for peer in lazy]
        for number in range(4):
            for stream in streams:
                await write_frame(stream, GetBlocks(cids=request, request=number))
        await asyncio.sleep(1)
        held_bytes = b.server.sent_bytes
        link = await honest.links.to(b.key, [b.address], 5.0)
        started_s = world.loop.time()
        blocks, _, _ = await collect(link, [root, *chunks])
        assert len(blocks) == 1 + len(chunks)
        assert world.loop.time() - started_s < REQUEST_TIMEOUT_S
        assert held_bytes < 3 * SERVED_READS_MAX * SERVED_READ_BYTES

    play(scene)


@pytest.mark.parametrize(
    "header",
    [b"\x91\x6f", b"\x92\x2f\x01", encode(Blocks(indices=(0,), sizes=(MIB,), request=1), MIB)[8:]],
    ids=["notice", "request", "answer to nothing"],
)
def test_there_is_no_memory_for_a_body_that_was_not_asked_for(
    header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []

    class Counting(BufferPool):
        def lend(self, size_bytes: int) -> Lease:
            lent.append(size_bytes)
            return super().lend(size_bytes)

    monkeypatch.setattr(frame_io, "block_buffers", Counting(MIB, 1))

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        lent.clear()
        unasked = header[1] == 0x30  # known by its head: the link ends there
        with contextlib.suppress(*([ConnectionLost] if unasked else [])):
            await stream.write(junk_frame(header, MIB), bytes(MIB - 1))
        await asyncio.sleep(1)
        assert sum(lent) == 0
        assert ("link.violation" in b.events) == unasked
        if not unasked:
            await stream.write(b"\0")
            await asyncio.sleep(1)
            assert "link.violation" not in b.events

    play(scene)


def reads(peer: Peer) -> int:
    """That hold memory for blocks."""
    room = peer.server._room
    return len(room._active) + len(room._parked)


def queued_bytes(peer: Peer) -> int:
    """Of blocks that wait to be sent to anybody."""
    return sum(
        len(body)
        for link in peer.links.open_links()
        for outgoing in link._outbox._frames
        for body in outgoing.body
    )


async def ask_and_cancel(stream: Stream, cid: Cid, times: int) -> None:
    for number in range(times):
        await write_frame(stream, GetBlocks(cids=(cid.raw,) * 8, request=number))
        await asyncio.sleep(0.05)
        await write_frame(stream, Cancel(number))


def test_asking_and_cancelling_unread_leaves_one_read_in_memory() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        b.hold(bytes(2 * MIB))
        stream = await raw_session(a, b)
        most_bytes = 0
        for _ in range(20):
            await ask_and_cancel(stream, Cid.of(bytes(MIB)), 3)
            most_bytes = max(most_bytes, queued_bytes(b))
        assert most_bytes <= SERVED_READ_BYTES
        assert b.server.sent_bytes <= 2 * SERVED_READ_BYTES  # what lies on the way to it

    play(scene)


def test_many_that_ask_and_cancel_unread_share_the_bound_and_give_way() -> None:
    async def scene(world: World) -> None:
        b, honest = await world.peer("b"), await world.peer("honest")
        content = bytes(range(256)) * (16 * KIB)
        b.hold(content)
        cid = Cid.of(content[:MIB])
        lazy = [await world.peer(f"lazy {number}") for number in range(2 * SERVED_READS_MAX)]
        streams = [await raw_session(peer, b) for peer in lazy]
        for number in range(10):
            for stream in streams:
                with contextlib.suppress(ConnectionLost):  # some have given way already
                    await write_frame(stream, GetBlocks(cids=(cid.raw,) * 64, request=number))
            await asyncio.sleep(0.1)
            most_bytes = SERVED_READS_MAX * (SERVED_READ_BYTES + MIB) + SERVED_PARKED_BYTES
            assert queued_bytes(b) <= most_bytes
            for stream in streams:
                with contextlib.suppress(ConnectionLost):
                    await write_frame(stream, Cancel(number))
        link = await honest.links.to(b.key, [b.address], 5.0)
        started_s = world.loop.time()
        assert (await collect(link, [cid]))[0] == {0: content[:MIB]}
        assert world.loop.time() - started_s < REQUEST_TIMEOUT_S
        await asyncio.sleep(2 * REQUEST_TIMEOUT_S)
        assert reads(b) == 0

    play(scene)


def test_a_read_keeps_its_room_until_the_last_of_it_has_left() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        b.hold(bytes(2 * MIB))
        stream = await raw_session(a, b)
        await write_frame(stream, GetBlocks(cids=(Cid.of(bytes(MIB)).raw,) * 64, request=1))
        await asyncio.sleep(1)
        await write_frame(stream, Cancel(1))
        await asyncio.sleep(1)
        assert queued_bytes(b) == 0
        assert reads(b) == 1  # of the second frame, which is half on its way
        arrived = [type((await read(stream))[0]) for _ in range(3)]
        assert arrived == [Blocks, Blocks, Declined]
        await asyncio.sleep(1)
        assert reads(b) == 0

    play(scene)


def test_room_to_read_is_given_back_by_links_that_end_at_any_moment() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        b.hold(bytes(2 * MIB))
        for step in range(4 * SERVED_READS_MAX):
            stream = await raw_session(a, b)
            await write_frame(stream, GetBlocks(cids=(Cid.of(bytes(MIB)).raw,) * 64, request=1))
            await asyncio.sleep(0.02 * step)  # the later ones while a read waits to be sent
            stream.abort()
        await asyncio.sleep(2 * REQUEST_TIMEOUT_S)
        assert reads(b) == 0
        link = await a.links.to(b.key, [b.address], 5.0)
        assert (await collect(link, [Cid.of(bytes(MIB))]))[0] == {0: bytes(MIB)}

    play(scene)


def test_a_link_with_more_than_its_share_of_requests_has_those_declined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_requests, "PEER_REQUESTS_MAX", 8)
    begun: list[Link] = []
    go_on = asyncio.Event()

    async def slow(link: Link, request: Release, reply: Reply) -> None:
        begun.append(link)
        await go_on.wait()
        await reply(Released())

    async def scene(world: World) -> None:
        b = await world.peer("b", {Release: slow})
        peers = [await world.peer(name) for name in ("greedy", "modest")]
        links = [await peer.links.to(b.key, [b.address], 5.0) for peer in peers]
        asking = [
            asyncio.ensure_future(links[0].request(Release(reservation=1), Released))
            for _ in range(40)
        ]
        await asyncio.sleep(1)
        assert len(begun) == 8
        asking += [
            asyncio.ensure_future(links[1].request(Release(reservation=1), Released))
            for _ in range(3)
        ]
        await asyncio.sleep(1)
        assert len(begun) == 11
        go_on.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, PeerRefused)]
        assert [answer.code for answer in refused] == ["busy"] * 32
        assert sum(isinstance(answer, Released) for answer in answers) == 11

    play(scene)


def test_endless_requests_that_are_declined_do_not_pile_up_answers() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)

        async def ask_without_end() -> None:
            async with asyncio.timeout(3 * REQUEST_TIMEOUT_S):
                for number in range(200_000):
                    await write_frame(stream, Release(reservation=1, request=number))

        with pytest.raises((ConnectionLost, TimeoutError)):
            await ask_without_end()
        await asyncio.sleep(2 * REQUEST_TIMEOUT_S)
        assert not b.links.open_links()

    play(scene)


def test_a_peer_that_hangs_up_while_being_served_costs_nothing_more() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        b.hold(bytes(2 * MIB))
        stream = await raw_session(a, b)
        await write_frame(stream, GetBlocks(cids=(Cid.of(bytes(MIB)).raw,) * 64, request=1))
        await read(stream)
        stream.abort()
        await asyncio.sleep(1)
        assert not b.links.open_links()
        assert len(b.supervisor) == 0

    play(scene)


def test_stopping_in_the_middle_of_a_request_ends_it() -> None:
    async def forever(link: Link, request: Release, reply: Reply) -> None:
        await asyncio.Event().wait()

    async def scene(world: World) -> None:
        a, b, link = await connected(world, {Release: forever})
        asking = asyncio.ensure_future(link.request(Release(reservation=1), Released))
        await asyncio.sleep(0.1)
        await b.supervisor.close()
        await b.links.close()
        with pytest.raises((ConnectionLost, PeerRefused)):
            await asking
        with pytest.raises((ConnectionLost, NotFound)):
            await a.links.to(b.key, [b.address], 5.0)

    play(scene)
