"""Frames of a later version cost a link nothing, and nobody gets work done for free by them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import write_frame
from dhtstore.params import FRAME_BODY_MAX_BYTES, IDLE_CONNECTION_TIMEOUT_S, UNKNOWN_FRAMES_MAX
from dhtstore.wire.frames import (
    HANDSHAKE_TAGS,
    NOTICE_TAGS,
    PREFIX,
    REQUEST_TAGS,
    RESPONSE_TAGS,
    Blocks,
    Cancel,
    Declined,
    GetBlocks,
    Release,
)
from tests.unit.node.data_plane import World, play, raw_session, read

ABSENT = Cid.of(b"nobody has this").raw
IGNORED = (HANDSHAKE_TAGS[-1], RESPONSE_TAGS[-1], NOTICE_TAGS[-1], 0x7F, 0xFF)


async def send(stream: Stream, *header: object, body: bytes = b"") -> None:
    encoded = msgspec.msgpack.encode(header)
    await stream.write(PREFIX.pack(len(encoded), len(body)) + encoded + body)


async def works(stream: Stream, number: int) -> None:
    """The stream is in step: a request is answered."""
    await write_frame(stream, GetBlocks(cids=(ABSENT,), request=number))
    frame, _ = await read(stream)
    assert frame == Blocks(indices=(), sizes=(), missing=(0,), request=number)


@pytest.mark.parametrize("body", [b"", b"body", bytes(FRAME_BODY_MAX_BYTES)], ids=len)
def test_an_unknown_request_is_declined_and_the_link_goes_on(body: bytes) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        await send(stream, REQUEST_TAGS[-1], 7, {"what": "ever"}, body=body)
        frame, _ = await read(stream)
        assert isinstance(frame, Declined)
        assert (frame.request, frame.code) == (7, "unsupported")
        await works(stream, 7)

    play(scene)


@pytest.mark.parametrize("tag", IGNORED)
@pytest.mark.parametrize("body", [b"", bytes(FRAME_BODY_MAX_BYTES)], ids=len)
def test_what_is_owed_nothing_is_passed_over(tag: int, body: bytes) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        await send(stream, tag, "anything", body=body)
        await send(stream, tag)
        await works(stream, 1)

    play(scene)


def test_any_number_of_unknown_requests_is_answered() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        for number in range(4 * UNKNOWN_FRAMES_MAX):
            await send(stream, REQUEST_TAGS[-1], number)
        answers = [(await read(stream))[0] for _ in range(4 * UNKNOWN_FRAMES_MAX)]
        numbers = [frame.request for frame in answers if isinstance(frame, Declined)]
        assert numbers == list(range(4 * UNKNOWN_FRAMES_MAX))
        await works(stream, 1)

    play(scene)


def test_nothing_but_unknown_frames_ends_a_link() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        for number in range(3):
            for _ in range(UNKNOWN_FRAMES_MAX):
                await send(stream, NOTICE_TAGS[-1])
            await works(stream, number)  # and the count starts anew
        for _ in range(UNKNOWN_FRAMES_MAX + 1):
            await send(stream, NOTICE_TAGS[-1])
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert "link.violation" in b.events

    play(scene)


@pytest.mark.parametrize(
    "idle",
    [
        [NOTICE_TAGS[-1]],
        [Cancel(9).__struct_config__.tag, 9],
        [REQUEST_TAGS[-1], 5],
        [Release.__struct_config__.tag, 5, 1],  # which nobody serves here
    ],
    ids=["notice", "cancel", "request", "unserved"],
)
def test_frames_that_mean_nothing_do_not_keep_a_link_open(idle: list[object]) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        start = world.loop.time()

        async def chatter() -> None:
            for _ in range(20):
                await asyncio.sleep(IDLE_CONNECTION_TIMEOUT_S / 4)
                await send(stream, *idle)
                if idle[0] in REQUEST_TAGS:
                    assert isinstance((await read(stream))[0], Declined)

        with pytest.raises(ConnectionLost):
            await chatter()
        assert world.loop.time() - start <= 1.5 * IDLE_CONNECTION_TIMEOUT_S

    play(scene)
