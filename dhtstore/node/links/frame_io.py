"""Frames over a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from dhtstore.errors import RemoteProtocolError
from dhtstore.net.ports import Stream
from dhtstore.node.links.buffers import Lease, block_buffers
from dhtstore.params import (
    FRAME_HEADER_MAX_BYTES,
    KIB,
    RATE_MIN_BYTES_PER_S,
    REQUEST_TIMEOUT_S,
)
from dhtstore.wire.frames import PREFIX, Frame, decode, decode_prefix, encode

PASSED_OVER_BYTES: Final = 16 * KIB  # of a body that nobody wants, in one go
PORTION_BYTES: Final = 256 * KIB  # written in one go: half a minute of the slowest line is more
Body = bytes | bytearray | memoryview
Gone = Callable[[], None]


async def read_prefix(stream: Stream, begun: bytes = b"") -> tuple[int, int]:
    """(header bytes, body bytes) of the next frame, of which ``begun`` was read before; raises
    ConnectionLost, RemoteProtocolError."""
    return decode_prefix(begun + await stream.read_exactly(PREFIX.size - len(begun)))


def frame_time_s(sizes: tuple[int, int]) -> float:
    """How long a frame of that prefix may take to come: at no less than the slowest rate that is
    put up with, after one silence."""
    return REQUEST_TIMEOUT_S + sum(sizes) / RATE_MIN_BYTES_PER_S


async def read_message(
    stream: Stream, sizes: tuple[int, int], header_max_bytes: int = FRAME_HEADER_MAX_BYTES
) -> Frame:
    """The message behind a prefix; its body is still to be read, or passed over.

    Raises ConnectionLost, RemoteProtocolError.
    """
    header_bytes, body_bytes = sizes
    if header_bytes > header_max_bytes:
        raise RemoteProtocolError(f"a frame header of {header_bytes} bytes")
    return decode(await stream.read_exactly(header_bytes), body_bytes)


async def read_body(stream: Stream, size_bytes: int, gone: Gone = lambda: None) -> Lease:
    """The body of a frame, in a buffer that the caller may give back; ``gone`` is called when it
    is needed no more, also where it could not be read.  Raises ConnectionLost."""
    body = block_buffers.lend(size_bytes)
    if size_bytes:
        body.when_gone(gone)
        try:
            await stream.read_into(body.view)
        except BaseException:
            body.release()
            raise
    return body


async def pass_over_body(stream: Stream, size_bytes: int) -> None:
    """For a body that there is no memory for, or no use.  Raises ConnectionLost."""
    while size_bytes:
        size_bytes -= len(await stream.read_exactly(min(size_bytes, PASSED_OVER_BYTES)))


async def write_frame(
    stream: Stream,
    message: Frame,
    *body: Body,
    taken: Callable[[int], None] = lambda count: None,
    passed: Callable[[int], Awaitable[None]] | None = None,
    portion_bytes: int = PORTION_BYTES,
) -> None:
    """Send one frame, telling ``taken`` the bytes of each part that went out, and waiting for
    ``passed`` before each; raises ConnectionLost."""
    for parts in _portions(portion_bytes, encode(message, sum(map(len, body))), *body):
        part_bytes = sum(map(len, parts))
        if passed is not None:
            await passed(part_bytes)
        await stream.write(*parts)
        taken(part_bytes)


def _portions(portion_bytes: int, *parts: Body) -> Iterator[list[Body]]:
    """The parts in order, cut and gathered into portions of ``portion_bytes`` at most."""
    portion: list[Body] = []
    size_bytes = 0
    for part in parts:
        for at in range(0, len(part), portion_bytes):
            piece = memoryview(part)[at : at + portion_bytes]
            if size_bytes + len(piece) > portion_bytes:
                yield portion
                portion, size_bytes = [], 0
            portion.append(piece)
            size_bytes += len(piece)
    yield portion
