"""Frames over a stream."""

from __future__ import annotations

from dhtstore.errors import RemoteProtocolError
from dhtstore.net.ports import Stream
from dhtstore.params import FRAME_HEADER_MAX_BYTES
from dhtstore.wire.frames import PREFIX, AnyMessage, Message, decode, decode_prefix, encode

Body = bytes | bytearray | memoryview


async def read_prefix(stream: Stream) -> tuple[int, int]:
    """(header bytes, body bytes) of the next frame; raises ConnectionLost, RemoteProtocolError."""
    return decode_prefix(await stream.read_exactly(PREFIX.size))


async def read_rest(
    stream: Stream, sizes: tuple[int, int], header_max_bytes: int = FRAME_HEADER_MAX_BYTES
) -> tuple[AnyMessage, memoryview]:
    """The message and body behind a prefix; the body is received into a buffer of its own.

    Raises ConnectionLost, RemoteProtocolError.
    """
    header_bytes, body_bytes = sizes
    if header_bytes > header_max_bytes:
        raise RemoteProtocolError(f"a frame header of {header_bytes} bytes")
    message = decode(await stream.read_exactly(header_bytes), body_bytes)
    body = memoryview(bytearray(body_bytes))
    if body_bytes:
        await stream.read_into(body)
    return message, body


async def write_frame(stream: Stream, message: Message, *body: Body) -> None:
    """Send one frame; raises ConnectionLost."""
    await stream.write(encode(message, sum(map(len, body))), *body)
