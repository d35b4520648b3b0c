"""One TLS stream over a TCP transport: decrypted bytes land in the reader's own buffer.

The socket is read into one buffer that all streams of a transport share, passed to OpenSSL at
once and decrypted straight into the target of ``read_into``.  What comes while nobody reads goes
into a small spill buffer, and when that is full the socket is no longer read, so a peer can make
a node hold no more than SPILL_BYTES and one read.  asyncio's own TLS costs a receive buffer for
each connection and twice the work for each record of 16 KiB.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn, cast

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey

RECEIVE_BYTES: Final = 256 * 1024  # of ciphertext at once; each read costs a turn of the loop
SPILL_BYTES: Final = 64 * 1024
WRITE_SLICE_BYTES: Final = 256 * 1024  # encrypted and handed to the socket in one go
WRITE_HIGH_WATER_BYTES: Final = 64 * 1024  # and a slice: what a peer that never reads costs
CLOSE_TIMEOUT_S: Final = 1.0


class TlsStream(asyncio.BufferedProtocol):
    """Implements ports.Stream after ``handshake``; asyncio drives the protocol half.

    ``receive`` is the buffer shared by all streams of one event loop: it is empty again whenever
    control returns to the loop.
    """

    def __init__(
        self, remote: Address, context: ssl.SSLContext, receive: memoryview, *, server: bool
    ) -> None:
        self.remote = remote
        self.remote_key: PublicKey | None = None
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._transport: asyncio.Transport | None = None
        self._spill = bytearray()
        self._target: memoryview | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._secured = self._reading_paused = self._writing_paused = False
        self._lost: ConnectionLost | None = None
        self._closed = self._loop.create_future()

    async def handshake(self) -> None:
        """Secure the connection; raises OSError (an ssl.SSLError mostly) and ConnectionLost."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                await self._more()
            except ssl.SSLError:
                self._flush()  # the alert that says why
                raise
        self._secured = True
        self._flush()
        self._pump()

    # --- ports.Stream -----------------------------------------------------------------------

    async def read_exactly(self, count: int) -> bytes:
        if len(self._spill) >= count:
            return self._take(count)
        target = bytearray(count)
        await self.read_into(memoryview(target))
        return bytes(target)

    async def read_into(self, target: memoryview) -> None:
        ready = self._take(min(len(target), len(self._spill)))
        target[: len(ready)] = ready
        if len(ready) == len(target):
            return
        self._check()
        self._target = target[len(ready) :]
        self._reader = self._loop.create_future()
        try:
            self._pump()
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
                self._encrypt(view[at : at + WRITE_SLICE_BYTES])
        await self._writable()

    async def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with suppress(ssl.SSLError):  # the peer's own goodbye is not waited for
                self.tls.unwrap()
            self._flush()
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

    def on_closed(self, callback: Callable[[], object]) -> None:
        self._closed.add_done_callback(lambda _: callback())

    # --- asyncio.BufferedProtocol -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receive

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._receive[:nbytes])
        if self._secured:
            self._pump()
        elif self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

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

    # --- TLS --------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Decrypt what has come: into the reader's target, then into the spill buffer."""
        if self._lost is not None:
            return
        try:
            while self._target is not None:
                self._decrypt_into(self._target)
            while (room := SPILL_BYTES - len(self._spill)) > 0:
                self._spill += self.tls.read(room) or _ended()
            self._pause_reading()
        except ssl.SSLWantReadError:
            self._resume_reading()
        except ssl.SSLZeroReturnError:
            self.eof_received()
        except ssl.SSLError as error:
            self._fail(ConnectionLost(f"{self.remote} broke TLS ({error.reason})"))
        self._flush()  # OpenSSL may owe an answer, as to a key update

    def _decrypt_into(self, target: memoryview) -> None:
        """Fill the target as far as ciphertext is there; raises SSLWantReadError at its end,
        SSLZeroReturnError when the peer has said goodbye."""
        at, size, read = 0, len(target), self.tls.read
        try:
            while at < size:
                at += cast(int, read(size - at, target[at:])) or _ended()
        finally:
            self._target = target[at:] if at < size else None
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _encrypt(self, view: memoryview) -> None:
        at, size, write = 0, len(view), self.tls.write
        try:
            while at < size:
                at += write(view[at:])  # one record of at most 16 KiB each time
        except ssl.SSLError as error:
            raise ConnectionLost(f"{self.remote} broke TLS ({error.reason})") from error
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    async def _more(self) -> None:
        """Wait for further bytes of the handshake."""
        self._check()
        self._arrived = self._loop.create_future()
        try:
            await self._arrived
        finally:
            self._arrived = None

    # --- inside -----------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        taken = bytes(self._spill[:count])
        del self._spill[:count]
        return taken

    def _check(self) -> None:
        if self._lost is not None:
            raise ConnectionLost(*self._lost.args)

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

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
        for waiter in (self._reader, self._writer, self._arrived):
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionLost(*self._lost.args))


def _ended() -> NoReturn:
    """OpenSSL reads nothing, without an error, after the peer's close_notify."""
    raise ssl.SSLZeroReturnError
