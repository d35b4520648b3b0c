"""One direction of a simulated stream: what was written, and how much of it can be read.

The two ends learn of trouble at different times, so each has its own error: ``fail_writer`` is
what the sending end knows, ``fail_reader`` what the receiving end knows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from dhtstore.errors import ConnectionLost
from dhtstore.params import KIB
from simulations.world.network.machine import Machine
from simulations.world.network.network import SimNetwork
from simulations.world.network.sender import Flight, Receiver, Sender

WRITE_HIGH_WATER_BYTES = 64 * KIB  # of a real stream, before it reaches the socket


class Pipe:
    """Bytes from ``source`` to ``target``, in order."""

    def __init__(self, network: SimNetwork, source: Machine, target: Machine) -> None:
        self._network, self._source, self._target = network, source, target
        self._chunks: deque[memoryview] = deque()  # written and not yet read
        self._readable_bytes = self._read_bytes = 0
        self._told_edge_bytes = network.receive_buffer_bytes
        receiver = Receiver(self._arrive, self._edge_bytes, self._gone)
        self._sender = Sender(network, source, target, receiver, self._wake_writers, self._time_out)
        self._write_error: str | None = None
        self._read_error: str | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self.on_end: Callable[[str], None] = _nobody
        self.on_time_out: Callable[[str], None] = self.fail_writer
        self.on_orphan: Callable[[], None] | None = None

    # --- the sending end --------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """Send a chunk.  Raises ConnectionLost."""
        self._check_writable()
        self._note(data)
        self._chunks.append(memoryview(data))
        self._sender.send(len(data))

    def end(self) -> None:
        """Send the end of the stream, behind the data.  Raises ConnectionLost."""
        self._check_writable()
        self._note(b"")
        self._sender.finish()

    def _check_writable(self) -> None:
        if self._write_error is not None:
            raise ConnectionLost(self._write_error)

    def _note(self, data: bytes) -> None:
        network, now_s = self._network, self._network.loop.time()
        network.trace.message(now_s, "chunk", self._source.address, self._target.address, data)
        if network.watcher is not None:
            network.watcher.wrote(now_s, self, data)

    async def drain(self) -> None:
        """Wait while more is unacknowledged than the buffers hold.  Raises ConnectionLost."""
        while self._write_error is None and self._sender.unacked_bytes > self._buffer_bytes():
            await self._wait_writable()
        self._check_writable()

    def _buffer_bytes(self) -> float:
        """The socket's grows to twice the congestion window."""
        grown = min(self._network.send_buffer_bytes, 2 * self._sender.window_bytes)
        return WRITE_HIGH_WATER_BYTES + grown

    async def arrived(self) -> None:
        """Wait until everything pushed has arrived, or never will."""
        while not self._sender.quiet and self._write_error is None:
            await self._wait_writable()

    async def _wait_writable(self) -> None:
        waiter = self._network.loop.create_future()
        self._writers.append(waiter)
        await waiter

    def _time_out(self, why: str) -> None:
        """Nothing of the peer for longer than TCP waits: this end gives the stream up."""
        self.on_time_out(why)

    def fail_writer(self, why: str) -> None:
        if self._write_error is None:
            self._write_error = why
            if self._network.watcher is not None:
                self._network.watcher.ended(self._network.loop.time(), self, why)
            self._sender.close()
            self._wake_writers()

    def _wake_writers(self) -> None:
        waiters, self._writers = self._writers, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # --- in between -------------------------------------------------------------------------

    def _arrive(self, flight: Flight) -> None:
        """The next flight in order is complete."""
        if self._read_error is not None:
            self._drop(flight.size_bytes)
        elif flight.size_bytes:
            self._readable_bytes += flight.size_bytes
            self._wake_reader()
        else:
            self.on_end("the peer closed the stream")
        if self._sender.quiet:
            self._wake_writers()

    def _gone(self) -> bool:
        """Whether the other machine does not hear this at all; one that is back says so."""
        if self.on_orphan is not None:
            self.on_orphan()
        return self.on_orphan is not None

    def _edge_bytes(self) -> int:
        """The offset up to which there is room."""
        self._told_edge_bytes = self._read_bytes + self._network.receive_buffer_bytes
        return self._told_edge_bytes

    # --- the receiving end ------------------------------------------------------------------

    @property
    def received_bytes(self) -> int:
        """What has arrived in order, read or not."""
        return self._read_bytes + self._readable_bytes

    async def read_into(self, target: memoryview) -> None:
        """Fill ``target``; what arrived before the end can still be read.  Raises
        ConnectionLost."""
        filled = 0
        while filled < len(target):
            if self._readable_bytes:
                filled += self._take(target[filled:])
            else:
                await self._wait_readable()

    async def _wait_readable(self) -> None:
        if self._read_error is not None:
            raise ConnectionLost(self._read_error)
        if self._reader is not None:
            raise RuntimeError("two readers on one stream")
        self._reader = self._network.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _take(self, target: memoryview) -> int:
        chunk = self._chunks[0]
        count = min(len(chunk), len(target), self._readable_bytes)
        target[:count] = chunk[:count]
        self._drop(count)
        self._readable_bytes -= count
        self._tell_of_room()
        return count

    def _drop(self, count: int) -> None:
        """Forget the next bytes: they were read, or nobody will."""
        self._read_bytes += count
        while count:
            chunk = self._chunks.popleft()
            if len(chunk) > count:
                self._chunks.appendleft(chunk[count:])
            count -= min(count, len(chunk))

    def _tell_of_room(self) -> None:
        """Acknowledgements tell how much room there is; after a quarter of it was made without
        one, a message of its own (RFC 9293 section 3.8.6.2.2)."""
        buffer_bytes = self._network.receive_buffer_bytes
        if self._read_bytes + buffer_bytes - self._told_edge_bytes >= buffer_bytes // 4:
            if not self._network.reachable_by_stream(self._target, self._source):
                self._network.when_healed(self._tell_of_room)
                return
            delay_s = self._network.delay_s(self._target, self._source)
            self._network.loop.post(delay_s, self._sender.open_window, self._edge_bytes())

    def fail_reader(self, why: str) -> None:
        """Nothing more will come; what has arrived stays readable."""
        if self._read_error is None:
            self._read_error = why
            self._wake_reader()

    def drop_unread(self) -> None:
        """The receiving end is gone: forget what it had not read."""
        self._drop(self._readable_bytes)
        self._readable_bytes = 0

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _nobody(why: str) -> None:
    """Until a stream is built around the pipe, nobody hears its end."""
