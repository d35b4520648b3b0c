"""What a connected stranger can ask, how it can leave answers unread, and what it sends unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from benchmarks.hostile.kit.field import Field, crowd
from benchmarks.hostile.kit.stranger import Stranger, held, read
from dhtstore.content.codec import dagpb
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import write_frame
from dhtstore.params import MIB, REQUESTS_IN_FLIGHT_MAX, WANTS_PER_REQUEST_MAX
from dhtstore.wire.frames import PREFIX, Blocks, Cancel, GetBlocks, Release, Wrong

READERS: Final = 64
ASKERS: Final = 6
ORIGINS: Final = 8
READ_EVERY_S: Final = 1.0
PAUSE_S: Final = 0.05
UNKNOWN_REQUEST_TAG: Final = 0x2F
UNKNOWN_NOTICE_TAG: Final = 0x6F


async def slow_readers(field: Field) -> None:
    """Ask for everything there is, 64 times, and take a byte a second of it."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            wanted = await _everything(field, stream)
            for number in range(1, REQUESTS_IN_FLIGHT_MAX + 1):
                await write_frame(stream, GetBlocks(cids=wanted, request=number))
            while True:
                await stream.read_exactly(1)
                await asyncio.sleep(READ_EVERY_S)

    await crowd(field, READERS, work, origins=ORIGINS)


async def floods(field: Field) -> None:
    """As many requests as may be in flight, of every kind, without an end."""

    async def ask(stream: Stream, number: int) -> None:
        unknown = tuple(Cid.of(field.rng.randbytes(8)).raw for _ in range(WANTS_PER_REQUEST_MAX))
        await write_frame(stream, GetBlocks(cids=unknown, request=number))
        await write_frame(stream, Release(reservation=number, request=number + 1))
        await write_raw(stream, [UNKNOWN_REQUEST_TAG, number + 2])

    await _ask_endlessly(field, ask)


async def cancel_storms(field: Field) -> None:
    """Ask for what is dear to read, and cancel it at once."""

    async def ask(stream: Stream, number: int) -> None:
        roots = [root.raw for root in field.known()] or [Cid.of(b"nothing").raw]
        wanted = tuple((roots * WANTS_PER_REQUEST_MAX)[-WANTS_PER_REQUEST_MAX:])
        await write_frame(stream, GetBlocks(cids=wanted, request=number))
        await write_frame(stream, Cancel(number))
        await write_raw(stream, [UNKNOWN_NOTICE_TAG, number])

    await _ask_endlessly(field, ask)


async def unasked_bodies(field: Field) -> None:
    """Bodies of 2 MiB: answers to nothing, and unknown frames that have one."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            body = bytes(2 * MIB)
            await write_raw(stream, [UNKNOWN_NOTICE_TAG], body)
            await write_raw(stream, [UNKNOWN_REQUEST_TAG, 1], body)
            answer = Blocks(indices=(0,), sizes=(len(body),), request=7)
            await write_frame(stream, answer, body)
            await stream.read_exactly(1 << 20)

    await crowd(field, ASKERS, work, origins=ORIGINS)


async def false_reports(field: Field) -> None:
    """Say of everything the target has that it is wrong."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            for cid in await _everything(field, stream):
                await write_frame(stream, Wrong(cid))
                await asyncio.sleep(PAUSE_S)

    await crowd(field, ASKERS, work, origins=ORIGINS)


async def _ask_endlessly(field: Field, ask: Callable[[Stream, int], Awaitable[None]]) -> None:
    """Each stranger asks, REQUESTS_IN_FLIGHT_MAX at a time, and reads what comes."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            reading = stranger.crew.spawn(_read_all(stream), "reads")
            for number in range(1, 1 << 30, 3):
                await ask(stream, number)
                if number % REQUESTS_IN_FLIGHT_MAX < 3:
                    await asyncio.sleep(PAUSE_S)
                    if reading.done():
                        return

    await crowd(field, ASKERS, work, origins=ORIGINS)


async def _read_all(stream: Stream) -> None:
    while True:
        _, body = await read(stream)
        body.release()


async def _everything(field: Field, stream: Stream) -> tuple[bytes, ...]:
    """What lies below the newest root that the target has, as far as its first block tells."""
    roots = [*field.known()][-1:] or [Cid.of(b"nothing")]
    await write_frame(stream, GetBlocks(cids=(roots[0].raw,), request=0))
    _, body = await read(stream)
    try:
        links, _ = dagpb.decode(bytes(body.view))
    except MalformedDag:
        links = []
    below = [link.cid.raw for link in links] or [roots[0].raw]
    return tuple((below * WANTS_PER_REQUEST_MAX)[:WANTS_PER_REQUEST_MAX])


async def write_raw(stream: Stream, header: list[object], body: bytes = b"") -> None:
    """A frame of whatever header."""
    packed = msgspec.msgpack.encode(header)
    await stream.write(PREFIX.pack(len(packed), len(body)) + packed, body)
