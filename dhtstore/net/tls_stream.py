"""One TLS stream over asyncio: decrypted bytes land in the reader's own buffer.

``BufferedProtocol`` lets OpenSSL decrypt straight into the target of ``read_into``; what comes
while nobody reads goes into a small spill buffer, and when that is full the socket is no longer
read, so a peer can make a node hold no more than SPILL_BYTES.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Final, cast

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey

SPILL_BYTES: Final = 64 * 1024
WRITE_SLICE_BYTES: Final = 256 * 1024  # encrypted and handed to the socket in one go
WRITE_HIGH_WATER_BYTES: Final = 512 * 1024
CLOSE_TIMEOUT_S: Final = 1.0

# asyncio sets aside a receive buffer of this size for each TLS connection; the default of
# 256 KiB makes 512 connections cost 128 MiB, and 64 KiB is as fast.
sslproto.SSLProtocol.max_size = 64 * 1024


class TlsStream(asyncio.BufferedProtocol):
    """Implements ports.Stream; asyncio drives the protocol half."""

    def __init__(self, remote: Address) -> None:
        self.remote = remote
        self.remote_key: PublicKey | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._spill = memoryview(bytearray(SPILL_BYTES))
        self._start = self._end = 0
        self._target: memoryview | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._reading_paused = self._writing_paused = False
        self._lost: ConnectionLost | None = None
        self._closed = self._loop.create_future()

    # --- ports.Stream -----------------------------------------------------------------------

    async def read_exactly(self, count: int) -> bytes:
        if self._end - self._start >= count:
            return bytes(self._take(count))
        target = bytearray(count)
        await self.read_into(memoryview(target))
        return bytes(target)

    async def read_into(self, target: memoryview) -> None:
        ready = self._take(min(len(target), self._end - self._start))
        target[: len(ready)] = ready
        if len(ready) == len(target):
            return
        self._check()
        self._target = target[len(ready) :]
        self._reader = self._loop.create_future()
        self._resume_reading()
        try:
            await self._reader
        except asyncio.CancelledError:
            self.abort()  # part of a frame is gone: nothing after it can be understood
            raise
        finally:
            self._target = self._reader = None

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        self._check()
        if sum(map(len, parts)) <= WRITE_SLICE_BYTES:
            parts = (b"".join(parts),)  # many small parts cost more apart than copied
        for part in parts:
            view = memoryview(part)
            for at in range(0, len(view), WRITE_SLICE_BYTES):
                await self._writable()
                self._open_transport().write(view[at : at + WRITE_SLICE_BYTES])
        await self._writable()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.shield(self._closed)
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._fail(ConnectionLost(f"the connection to {self.remote} was closed here"))

    # --- for the transport ------------------------------------------------------------------

    @property
    def tls(self) -> ssl.SSLObject:
        """The session, for its ALPN and certificate; raises ConnectionLost before it is up."""
        return cast(ssl.SSLObject, self._open_transport().get_extra_info("ssl_object"))

    def on_closed(self, callback: Callable[[], object]) -> None:
        self._closed.add_done_callback(lambda _: callback())

    # --- asyncio.BufferedProtocol -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._target is not None:
            return self._target
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._spill):
            left = self._end - self._start
            self._spill[:left] = bytes(self._spill[self._start : self._end])
            self._start, self._end = 0, left
        return self._spill[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._target is None:
            self._end += nbytes
            if self._end - self._start == len(self._spill):
                self._reading_paused = True
                self._open_transport().pause_reading()
            return
        self._target = self._target[nbytes:]
        if not self._target:
            self._target = None
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)

    def eof_received(self) -> None:
        self._fail(ConnectionLost(f"{self.remote} closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f": {exc}" if exc else ""
        self._fail(ConnectionLost(f"the connection to {self.remote} was lost{reason}"))
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # --- inside -----------------------------------------------------------------------------

    def _take(self, count: int) -> memoryview:
        view = self._spill[self._start : self._start + count]
        self._start += count
        return view

    def _check(self) -> None:
        if self._lost is not None:
            raise ConnectionLost(*self._lost.args)

    def _open_transport(self) -> asyncio.Transport:
        self._check()
        if self._transport is None:
            raise ConnectionLost(f"the connection to {self.remote} is not open")
        return self._transport

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._open_transport().resume_reading()

    async def _writable(self) -> None:
        if self._writing_paused:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        self._check()

    def _fail(self, error: ConnectionLost) -> None:
        if self._lost is None:
            self._lost = error
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionLost(*self._lost.args))
