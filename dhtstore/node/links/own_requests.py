"""What this node asks of a peer: requests out, answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.config import format_size
from dhtstore.errors import ConnectionLost, PeerRefused, Stalled, TooSlow
from dhtstore.model.identity import NodeId, format_node
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.frame_io import Gone
from dhtstore.node.links.outbox import Outbox, fail_future
from dhtstore.params import CANCELLED_END_S, REQUESTS_IN_FLIGHT_MAX
from dhtstore.transfer.pace import Pace
from dhtstore.transfer.session import Answered, Session
from dhtstore.wire.frames import Declined, FrameRequest, FrameResponse

OnPart = Callable[[FrameResponse, Lease | None], None]
Admit = Callable[[FrameResponse], Gone | None]
Delivered = Callable[[FrameResponse], int]


def _no_body(response: FrameResponse) -> None:
    return None


def _nothing(response: FrameResponse) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks, as long as the answer lasts; nothing of it may wait.

    ``on_part`` gets each part, the final one too, and the lease of its body; None for a body that
    was passed over.  ``admit`` is asked before a body is read: what to call when its bytes are
    needed no more, or None if there is no room for it.  ``delivered`` tells how many bytes that
    were owed a part brings: only those buy the peer time.
    """

    on_part: OnPart
    admit: Admit = _no_body
    delivered: Delivered = _nothing


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[FrameResponse]
    asker: Asker
    pace: Pace
    timer: asyncio.Timeout


class OwnRequests:
    """``heard_s`` is when the peer last brought anything on, on the clock's monotonic scale; the
    owner keeps it up to date.

    A request that nobody waits for any more still has to be ended by the peer, within
    CANCELLED_END_S, or the link ends: it holds a place, and memory on both sides.
    """

    def __init__(
        self, session: Session, outbox: Outbox, stream: Stream, node: NodeId, clock: Clock
    ) -> None:
        self._session, self._outbox = session, outbox
        self._stream, self._node, self._clock = stream, node, clock
        self._waiting: dict[int, _Waiting] = {}
        self._ends_due: dict[int, asyncio.TimerHandle | None] = {}  # None: not cancelled there yet
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self.heard_s = clock.monotonic_s()

    async def ask(self, request: FrameRequest, silence_s: float, asker: Asker) -> FrameResponse:
        """Ask and wait for the final answer: ``silence_s``, and longer only for what is delivered
        meanwhile (``Pace``).

        Raises PeerRefused (declined) and ConnectionLost (lost, or silent: a peer of which nothing
        of use came is given up).
        """
        self._outbox.check()
        pace = Pace(asyncio.get_running_loop().time(), silence_s)
        try:
            async with asyncio.timeout_at(pace.ends_s) as timer:
                await self._take_slot()
                answer = await self._answer(request, asker, pace, timer)
        except TimeoutError as error:
            if self._clock.monotonic_s() - self.heard_s >= silence_s:
                self._stream.abort()
            raise self._late(pace, silence_s) from error
        if isinstance(answer, Declined):
            raise PeerRefused(answer.code, answer.reason)
        return answer

    def _late(self, pace: Pace, silence_s: float) -> ConnectionLost:
        """Stalled, where nothing came at the end."""
        name = format_node(self._node)
        if not pace.delivered_bytes:
            return Stalled(f"node {name} was silent for {silence_s:g} s")
        gave = f"node {name} gave {format_size(pace.delivered_bytes)} and was then"
        if pace.stalls:
            return Stalled(f"{gave} silent for {silence_s:g} s")
        return TooSlow(f"{gave} too slow")

    def admit(self, event: Answered) -> Gone | None:
        """Whether the body of an answer is to be read: what to call when it is gone, or None."""
        waiting = self._waiting.get(event.number)
        if waiting is None or waiting.answer.done():
            return None
        return waiting.asker.admit(event.response)

    def answered(self, event: Answered, body: Lease | None) -> None:
        """Hand an answer to who waits for it."""
        if event.final:
            self._ended(event.number)
        waiting = self._waiting.get(event.number)
        if waiting is None or waiting.answer.done():
            if body is not None:
                body.release()
            return
        now = asyncio.get_running_loop().time()
        waiting.pace.delivered(waiting.asker.delivered(event.response), now)
        waiting.timer.reschedule(waiting.pace.ends_s)
        waiting.asker.on_part(event.response, body)
        if event.final and not waiting.answer.done():
            waiting.answer.set_result(event.response)

    def fail(self, error: ConnectionLost) -> None:
        """The link has ended; call it after the outbox was closed."""
        for waiting in self._waiting.values():
            fail_future(waiting.answer, error)
        for number in list(self._ends_due):
            self._ended(number)
        self._slots.release()

    async def _take_slot(self) -> None:
        """Wait until another request may be in flight; when the link ends, all stop waiting."""
        await self._slots.acquire()
        if not self._outbox.open:
            self._slots.release()
        self._outbox.check()

    async def _answer(
        self, request: FrameRequest, asker: Asker, pace: Pace, timer: asyncio.Timeout
    ) -> FrameResponse:
        numbered = self._session.open(request)
        answer: asyncio.Future[FrameResponse] = asyncio.get_running_loop().create_future()
        self._waiting[numbered.request] = _Waiting(answer, asker, pace, timer)
        try:
            self._outbox.queue(numbered)
            return await answer
        finally:
            del self._waiting[numbered.request]
            self._cancel(numbered.request)

    def _cancel(self, number: int) -> None:
        """Unless the request has ended: the peer has to end it soon after it is told."""
        cancel = self._session.cancel(number)
        if cancel is not None and self._outbox.open:
            self._ends_due[number] = None
            self._outbox.queue(cancel).add_done_callback(lambda _: self._expect_end(number))

    def _expect_end(self, number: int) -> None:
        if number in self._ends_due:
            loop = asyncio.get_running_loop()
            self._ends_due[number] = loop.call_later(CANCELLED_END_S, self._stream.abort)

    def _ended(self, number: int) -> None:
        self._slots.release()
        due = self._ends_due.pop(number, None)
        if due is not None:
            due.cancel()
