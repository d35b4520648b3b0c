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
from typing import Final, cast

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.tls_engine import TlsEngine
from dhtstore.net.tls_inflow import TlsInflow

RECEIVE_BYTES: Final = 256 * 1024  # of ciphertext at once; each read costs a turn of the loop
SMALL_RECEIVE_BYTES: Final = 64 * 1024  # of a peer that nothing large is waited for from
WRITE_SLICE_BYTES: Final = 256 * 1024  # encrypted and handed to the socket in one go, if it
SLOW_WRITE_SLICE_BYTES: Final = 32 * 1024  # took the last one at once; else OpenSSL keeps as much
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
        self.binding = b""  # both are set by whoever checks the handshake
        self._loop, self._receive = asyncio.get_running_loop(), receive
        self._engine = TlsEngine(context, server=server)
        self.tls = self._engine.tls
        self._transport: asyncio.Transport | None = None
        self._inflow = TlsInflow(self._engine)
        self._writer: asyncio.Future[None] | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._secured = self._reading_paused = self._writing_paused = False
        self._fast = False  # whether the socket took all of the last slice at once
        self._lost: ConnectionLost | None = None
        self._closed = self._loop.create_future()

    async def handshake(self) -> None:
        """Secure the connection; raises OSError (an ssl.SSLError mostly) and ConnectionLost."""
        try:
            while not self._engine.shake_hands():
                self._flush()
                await self._more()
        finally:
            self._flush()  # also the alert that says why
        self._secured = True
        self._pump()

    # --- ports.Stream -----------------------------------------------------------------------

    @property
    def received_bytes(self) -> int:
        return self._inflow.received_bytes

    async def read_exactly(self, count: int) -> bytes:
        if self._inflow.spilt_bytes >= count:
            return self._inflow.take(count)
        target = bytearray(count)
        await self.read_into(memoryview(target))
        return bytes(target)

    async def read_into(self, target: memoryview) -> None:
        ready = self._inflow.take(min(len(target), self._inflow.spilt_bytes))
        target[: len(ready)] = ready
        if len(ready) == len(target):
            return
        self._check()
        full = self._inflow.expect(target[len(ready) :])
        try:
            self._pump()
            await full
        except asyncio.CancelledError:
            self.abort()  # part of a frame is gone: nothing after it can be understood
            raise
        finally:
            self._inflow.forget()

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        self._check()
        if len(parts) > 1 and sum(map(len, parts)) <= WRITE_SLICE_BYTES:
            parts = (b"".join(parts),)  # many small parts cost more apart than copied
        for part in parts:
            view = memoryview(part)
            while view:
                await self._writable()
                slice_bytes = WRITE_SLICE_BYTES if self._fast else SLOW_WRITE_SLICE_BYTES
                self._encrypt(view[:slice_bytes])
                self._fast = not self._writing_paused
                view = view[slice_bytes:]
        await self._writable()

    async def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._engine.say_goodbye()
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
        """Large for what is waited for only: OpenSSL keeps as much as it was ever given at once."""
        bulk = self._inflow.due_bytes >= SMALL_RECEIVE_BYTES
        return self._receive if bulk else self._receive[:SMALL_RECEIVE_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        self._engine.receive(self._receive[:nbytes])
        if self._secured:
            self._pump()
        elif self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def eof_received(self) -> None:
        self._fail(ConnectionLost(f"{self.remote} closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"the connection to {self.remote} was lost{_reason(exc)}"))
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
            if self._inflow.fill():
                self._pause_reading()
            else:
                self._resume_reading()
        except ssl.SSLZeroReturnError:
            self.eof_received()
        except ssl.SSLError as error:
            self._fail(ConnectionLost(f"{self.remote} broke TLS ({error.reason})"))
        self._flush()  # OpenSSL may owe an answer, as to a key update

    def _encrypt(self, view: memoryview) -> None:
        try:
            self._engine.encrypt(view)
        except ssl.SSLError as error:
            raise ConnectionLost(f"{self.remote} broke TLS ({error.reason})") from error
        self._flush()

    def _flush(self) -> None:
        if self._transport is not None and (due := self._engine.to_send()):
            self._transport.write(due)

    async def _more(self) -> None:
        """Wait for further bytes of the handshake."""
        self._check()
        self._arrived = self._loop.create_future()
        try:
            await self._arrived
        finally:
            self._arrived = None

    # --- inside -----------------------------------------------------------------------------

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
        for waiter in (self._inflow.reader, self._writer, self._arrived):
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionLost(*self._lost.args))


def _reason(error: Exception | None) -> str:
    return f": {error}" if error else ""
