"""The pipes of a command: bytes in order, never blocking a worker thread."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from types import TracebackType

from dhtstore.errors import NotRunning, UsageError

PIPE_READ_BYTES = 256 * 1024
PIPE_BUFFER_BYTES = 1024 * 1024
HIGH_WATER_BYTES = 4 * 1024 * 1024  # what may wait for a slow reader


class PipeWriter:
    """``async with`` the write end of a pipe, which it owns and makes non-blocking.

    Leaving it normally waits until everything is through; with an error, drops what waits.
    Raises UsageError for what is no pipe, which is closed.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            _need_pipe(descriptor)
        except UsageError:
            os.close(descriptor)
            raise
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._entered = False

    def discard(self) -> None:
        """Close it, where it was never entered."""
        if not self._entered:
            self._file.close()

    async def __aenter__(self) -> PipeWriter:
        self._entered = True
        loop = asyncio.get_running_loop()
        self._transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, self._file
        )
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._writer = asyncio.StreamWriter(self._transport, protocol, None, loop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._transport.set_write_buffer_limits(high=0)
                await self._drain()
        finally:
            if not self._transport.is_closing():  # one that ended by itself must not be aborted
                self._transport.abort()

    async def write(self, data: bytes | memoryview) -> None:
        """Queue ``data`` and wait while the reader is slow; raises NotRunning when the reader
        is gone: nobody waits for the rest."""
        self._writer.write(data)
        await self._drain()

    async def _drain(self) -> None:
        try:
            if self._transport.is_closing():
                raise BrokenPipeError("the other end is closed")
            await self._writer.drain()
        except OSError as error:
            raise NotRunning("the command that reads this went away") from error


async def read_pipe(descriptor: int) -> AsyncGenerator[bytes, None]:
    """What arrives on the read end of a pipe, until its other end closes.

    The descriptor stays open and becomes non-blocking.  Raises UsageError for what is no pipe.
    """
    _need_pipe(descriptor)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=PIPE_BUFFER_BYTES)
    file = os.fdopen(os.dup(descriptor), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while piece := await reader.read(PIPE_READ_BYTES):
            yield piece
    finally:
        transport.close()


def _need_pipe(descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise UsageError("bytes travel through a pipe, not through a file or a directory")
