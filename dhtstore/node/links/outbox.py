"""Frames on their way out, whole and in order.

One task sends them, so that whoever stops waiting for one never leaves half of it behind.  While
anything waits, only bytes that the peer takes buy it time: a frame now and then is not enough.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dhtstore.errors import ConnectionLost
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.frame_io import PORTION_BYTES, Body, write_frame
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import OUTGOING_FRAMES_MAX, REQUEST_TIMEOUT_S
from dhtstore.transfer.fair_queue import Payer
from dhtstore.transfer.pace import Pace, Rate
from dhtstore.wire.frames import Frame, FrameResponse

T = TypeVar("T")
Gone = Callable[[bool], None]  # whether it was sent; else it never will be


@dataclass(slots=True)
class _Outgoing:
    frame: Frame
    body: tuple[Body, ...]
    sent: asyncio.Future[None]
    gone: Gone | None

    def end(self, error: ConnectionLost | None) -> None:
        """It has left, or never will, for that reason."""
        self.body = ()  # who is told that it is gone may use its memory at once
        if self.gone is not None:
            self.gone(error is None)
        if error is not None:
            fail_future(self.sent, error)
        elif not self.sent.done():
            self.sent.set_result(None)


class Outbox:
    """Open until ``close``.  ``queued_s`` is when a frame by which the link is used was queued
    last, on the clock's monotonic scale; ``sent_bytes`` are those of bodies that have left."""

    def __init__(
        self,
        stream: Stream,
        clock: Clock,
        traffic: Traffic | None = None,
        payer: Payer | None = None,
    ) -> None:
        """Blocks wait for their turn in ``traffic``, on the account of ``payer``;
        frames without blocks count, and wait for nobody."""
        self._stream, self._clock = stream, clock
        self._traffic, self._payer = traffic or Traffic(), payer or Payer.alone()
        self._frames: deque[_Outgoing] = deque()
        self._queued = asyncio.Event()
        self._sending = False
        self._lost: ConnectionLost | None = None
        self.queued_s = self._taken_s = clock.monotonic_s()
        self.sent = Rate(self.queued_s)
        self._pace = Pace(asyncio.get_running_loop().time(), REQUEST_TIMEOUT_S)
        self.sent_bytes = 0

    @property
    def open(self) -> bool:
        return self._lost is None

    @property
    def stalled_s(self) -> float:
        """How long the peer has read nothing of what waits for it."""
        return self._clock.monotonic_s() - self._taken_s if self._sending else 0.0

    @property
    def crowded(self) -> bool:
        """Whether so much waits that whoever causes it had better wait in ``room``."""
        return len(self._frames) > OUTGOING_FRAMES_MAX

    def check(self) -> None:
        """Raises ConnectionLost when the link has ended."""
        if self._lost is not None:
            raise type(self._lost)(*self._lost.args)

    def queue(
        self, frame: Frame, *body: Body, gone: Gone | None = None, is_use: bool = True
    ) -> asyncio.Future[None]:
        """Send a frame after those before it; the future is done when it has been sent.

        Whoever waits for the future may give up, which is no word of the frame: ``gone`` is
        called when its memory is free again.
        """
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.add_done_callback(_retrieved)
        self._frames.append(_Outgoing(frame, body, sent, gone))
        if is_use:
            self.queued_s = self._clock.monotonic_s()
        self._queued.set()
        return sent

    def drop(self, number: int) -> None:
        """Send nothing more of what waits as an answer to the peer's request ``number``."""
        waiting, self._frames = self._frames, deque()
        for outgoing in waiting:
            frame = outgoing.frame
            if isinstance(frame, FrameResponse) and frame.request == number:
                outgoing.end(ConnectionLost("the peer wants no answer any more"))
            else:
                self._frames.append(outgoing)

    async def room(self) -> None:
        """Wait until all that waits now has been sent; raises ConnectionLost."""
        if self._frames:
            await asyncio.wait([self._frames[-1].sent])  # others wait for it too, and may give up
            self.check()

    async def run(self) -> None:
        """Send what is queued until cancelled; raises ConnectionLost, also when the peer reads
        nothing for REQUEST_TIMEOUT_S, or so slowly for so long."""
        try:
            while True:
                await self._queued.wait()
                self._queued.clear()
                self._pace = Pace(asyncio.get_running_loop().time(), REQUEST_TIMEOUT_S)
                while self._frames:
                    await self._send_next()
        except TimeoutError as error:
            raise ConnectionLost("the peer reads too slowly") from error

    def close(self, error: ConnectionLost) -> None:
        """The link has ended: nothing that waits is sent any more."""
        self._lost = type(error)(*error.args)  # a traceback would keep what was to be sent
        for outgoing in self._frames:
            outgoing.end(error)
        self._frames.clear()

    async def _send_next(self) -> None:
        outgoing = self._frames.popleft()
        self._sending, self._taken_s = True, self._clock.monotonic_s()
        try:
            async with asyncio.timeout_at(self._pace.ends_s) as timer:
                await self._write(outgoing, timer)
        except BaseException:
            outgoing.end(ConnectionLost("the connection ended"))
            raise
        finally:
            self._sending = False
        self.sent_bytes += sum(map(len, outgoing.body))
        outgoing.end(None)

    async def _write(self, outgoing: _Outgoing, timer: asyncio.Timeout) -> None:
        gate, body = self._traffic.up, outgoing.body
        limited = bool(body) and gate.limit is not None
        if body:
            self._traffic.served()
        await write_frame(
            self._stream,
            outgoing.frame,
            *body,
            taken=partial(self._taken, timer, paid=limited),
            passed=partial(self._passed, timer) if limited else None,
            portion_bytes=gate.portion_bytes if limited else PORTION_BYTES,
        )

    async def _passed(self, timer: asyncio.Timeout, count: int) -> None:
        """Wait for the turn of so many bytes: the time is no fault of the peer."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        timer.reschedule(None)
        self._sending = False
        await self._traffic.up.passed(self._payer, count)
        self._sending, self._taken_s = True, self._clock.monotonic_s()
        self._pace.waited(loop.time() - begun_s)
        timer.reschedule(self._pace.ends_s)

    def _taken(self, timer: asyncio.Timeout, sent_bytes: int, *, paid: bool) -> None:
        """The peer reads."""
        if not paid:
            self._traffic.up.charge(sent_bytes)
        self._taken_s = self._clock.monotonic_s()
        self.sent.add(sent_bytes, self._taken_s)
        self._pace.delivered(sent_bytes, asyncio.get_running_loop().time())
        timer.reschedule(self._pace.ends_s)


def fail_future(future: asyncio.Future[T], error: ConnectionLost) -> None:
    """Tell whoever waits, each with an error of its own."""
    if not future.done():
        future.set_exception(type(error)(*error.args))


def _retrieved(future: asyncio.Future[None]) -> None:
    """Frames nobody waits for may fail unseen: the link's end tells everybody."""
    if not future.cancelled():
        future.exception()
