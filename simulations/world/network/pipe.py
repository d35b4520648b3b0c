"""One direction of a simulated stream.

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

HIGH_WATER_BYTES = 1024 * KIB  # written and not yet read by the other side
_SEGMENT_BYTES = 1460
_RETRANSMITS_MAX = 8
_END = b""


class Pipe:
    """Bytes from ``source`` to ``target``, in order, each chunk after the pair's latency."""

    def __init__(self, network: SimNetwork, source: Machine, target: Machine) -> None:
        self._network, self._source, self._target = network, source, target
        self._travelling: deque[bytes] = deque()
        self._arrived: deque[memoryview] = deque()
        self._readable_bytes = 0
        self._unread_bytes = 0
        self._last_arrival_s = 0.0
        self._held = 0  # arrivals that found the network partitioned
        self._write_error: str | None = None
        self._read_error: str | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self.on_end: Callable[[str], None] = _nobody
        self.on_orphan: Callable[[], None] | None = None

    # --- the sending end --------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """Send a chunk.  Raises ConnectionLost."""
        if self._write_error is not None:
            raise ConnectionLost(self._write_error)
        network, now = self._network, self._network.loop.time()
        sent_s = self._source.send_until_s(now, len(data))
        arrival_s = sent_s + network.delay_s(self._source, self._target) + self._retransmits(data)
        arrival_s = self._target.receive_until_s(arrival_s, len(data), self._source)
        arrival_s = self._last_arrival_s = max(arrival_s, self._last_arrival_s)
        self._travelling.append(data)
        self._unread_bytes += len(data)
        network.trace.message(now, "chunk", self._source.address, self._target.address, data)
        network.loop.post(arrival_s - now, self._arrive)

    def end(self) -> None:
        """Send the end of the stream, behind the data."""
        self.push(_END)

    def _retransmits(self, data: bytes) -> float:
        """Lost segments cost round trips, not data."""
        network = self._network
        if not network.loss:
            return 0.0
        whole = (1 - network.loss) ** (1 + len(data) // _SEGMENT_BYTES)
        round_trip_s = 2 * network.latency.one_way_s(self._source.place, self._target.place)
        losses = 0
        while losses < _RETRANSMITS_MAX and network.rng.random() >= whole:
            losses, whole = losses + 1, 1 - network.loss
        return losses * round_trip_s

    async def drain(self) -> None:
        """Wait while more than the high-water mark is unread.  Raises ConnectionLost."""
        while self._unread_bytes > HIGH_WATER_BYTES and self._write_error is None:
            await self._wait_writable()
        if self._write_error is not None:
            raise ConnectionLost(self._write_error)

    async def arrived(self) -> None:
        """Wait until everything pushed has arrived, or never will."""
        while self._travelling and self._write_error is None:
            await self._wait_writable()

    async def _wait_writable(self) -> None:
        waiter = self._network.loop.create_future()
        self._writers.append(waiter)
        await waiter

    def fail_writer(self, why: str) -> None:
        if self._write_error is None:
            self._write_error = why
            self._wake_writers()

    def _wake_writers(self) -> None:
        waiters, self._writers = self._writers, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # --- in between -------------------------------------------------------------------------

    def _arrive(self) -> None:
        if not self._network.reachable(self._source, self._target):
            if not self._held:
                self._network.when_healed(self.resume)
            self._held += 1
            return
        data = self._travelling.popleft()
        if self._read_error is not None:
            self._discard(data)
        elif data:
            self._arrived.append(memoryview(data))
            self._readable_bytes += len(data)
            self._target.received_bytes += len(data)
            self._wake_reader()
        else:
            self.on_end("the peer closed the stream")
        if not self._travelling:
            self._wake_writers()

    def _discard(self, data: bytes) -> None:
        self._unread_bytes -= len(data)
        if self.on_orphan is not None:
            self.on_orphan()

    def resume(self) -> None:
        """The partition healed: what was held arrives one latency later."""
        held, self._held = self._held, 0
        delay_s = self._network.delay_s(self._source, self._target)
        self._last_arrival_s = max(self._last_arrival_s, self._network.loop.time() + delay_s)
        for _ in range(held):
            self._network.loop.post(delay_s, self._arrive)

    # --- the receiving end ------------------------------------------------------------------

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
        chunk = self._arrived.popleft()
        count = min(len(chunk), len(target))
        target[:count] = chunk[:count]
        if count < len(chunk):
            self._arrived.appendleft(chunk[count:])
        self._readable_bytes -= count
        self._unread_bytes -= count
        if self._unread_bytes <= HIGH_WATER_BYTES:
            self._wake_writers()
        return count

    def fail_reader(self, why: str) -> None:
        """Nothing more will come; what has arrived stays readable."""
        if self._read_error is None:
            self._read_error = why
            self._wake_reader()

    def drop_unread(self) -> None:
        """The receiving end is gone: forget what it had not read."""
        self._arrived.clear()
        self._unread_bytes -= self._readable_bytes
        self._readable_bytes = 0

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _nobody(why: str) -> None:
    """Until a stream is built around the pipe, nobody hears its end."""
