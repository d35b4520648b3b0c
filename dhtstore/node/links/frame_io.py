"""Frames over a stream."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from dhtstore.errors import RemoteProtocolError
from dhtstore.net.ports import Stream
from dhtstore.params import CHUNK_SIZE_BYTES, FRAME_HEADER_MAX_BYTES, FRAME_PACK_BYTES
from dhtstore.wire.frames import PREFIX, Frame, decode, decode_prefix, encode

POOL_BUFFERS: Final = 40  # the window of one fetch, and what waits to be written
Body = bytes | bytearray | memoryview


async def read_prefix(stream: Stream) -> tuple[int, int]:
    """(header bytes, body bytes) of the next frame; raises ConnectionLost, RemoteProtocolError."""
    return decode_prefix(await stream.read_exactly(PREFIX.size))


async def read_rest(
    stream: Stream, sizes: tuple[int, int], header_max_bytes: int = FRAME_HEADER_MAX_BYTES
) -> tuple[Frame, memoryview]:
    """The message and body behind a prefix; the body is received into a buffer of its own.

    Raises ConnectionLost, RemoteProtocolError.
    """
    header_bytes, body_bytes = sizes
    if header_bytes > header_max_bytes:
        raise RemoteProtocolError(f"a frame header of {header_bytes} bytes")
    message = decode(await stream.read_exactly(header_bytes), body_bytes)
    body = _buffers.take(body_bytes)
    if body_bytes:
        await stream.read_into(body)
    return message, body


class _Buffers:
    """Receive buffers used again: a fresh one costs a page fault for each 4 KiB, and a wipe.

    A buffer is free when nobody but the pool refers to it, which CPython's reference counts tell
    exactly; every byte of it is received anew before anybody sees it.
    """

    def __init__(self, size_bytes: int, count: int) -> None:
        self._size_bytes, self._count = size_bytes, count
        self._buffers: deque[bytearray] = deque()

    def take(self, size_bytes: int) -> memoryview:
        """A buffer of exactly that size; from the pool if it is of the usual one."""
        if size_bytes != self._size_bytes:
            return memoryview(bytearray(size_bytes))
        for _ in range(len(self._buffers)):
            buffer = self._buffers[0]
            self._buffers.rotate(-1)
            if sys.getrefcount(buffer) == _ONLY_THE_POOL:
                return memoryview(buffer)
        buffer = bytearray(size_bytes)
        if len(self._buffers) < self._count:
            self._buffers.append(buffer)
        return memoryview(buffer)


_ONLY_THE_POOL: Final = 3  # the deque, the local name and the argument of getrefcount
_buffers: Final = _Buffers(CHUNK_SIZE_BYTES, POOL_BUFFERS)


async def write_frame(
    stream: Stream, message: Frame, *body: Body, taken: Callable[[], None] = lambda: None
) -> None:
    """Send one frame, telling ``taken`` of each part that went out; raises ConnectionLost."""
    for parts in _portions(encode(message, sum(map(len, body))), *body):
        await stream.write(*parts)
        taken()


def _portions(*parts: Body) -> Iterator[list[Body]]:
    """The parts in order, cut and gathered into portions of FRAME_PACK_BYTES at most."""
    portion: list[Body] = []
    size_bytes = 0
    for part in parts:
        for at in range(0, len(part), FRAME_PACK_BYTES):
            piece = memoryview(part)[at : at + FRAME_PACK_BYTES]
            if size_bytes + len(piece) > FRAME_PACK_BYTES:
                yield portion
                portion, size_bytes = [], 0
            portion.append(piece)
            size_bytes += len(piece)
    yield portion
