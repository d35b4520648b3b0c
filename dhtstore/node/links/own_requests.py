"""What this node asks of a peer: requests out, answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dhtstore.errors import ConnectionLost, PeerRefused
from dhtstore.model.identity import NodeId, format_node
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.outbox import Outbox, fail_future
from dhtstore.params import REQUESTS_IN_FLIGHT_MAX
from dhtstore.transfer.session import Answered, Session
from dhtstore.wire.frames import Declined, FrameRequest, FrameResponse

OnPart = Callable[[FrameResponse, Lease], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[FrameResponse]
    on_part: OnPart
    silence_s: float
    timer: asyncio.Timeout


class OwnRequests:
    """``heard_s`` is when anything came from the peer last, on the clock's monotonic scale; the
    owner keeps it up to date."""

    def __init__(
        self, session: Session, outbox: Outbox, stream: Stream, node: NodeId, clock: Clock
    ) -> None:
        self._session, self._outbox = session, outbox
        self._stream, self._node, self._clock = stream, node, clock
        self._waiting: dict[int, _Waiting] = {}
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self.heard_s = clock.monotonic_s()

    async def ask(self, request: FrameRequest, silence_s: float, on_part: OnPart) -> FrameResponse:
        """Ask and wait for the final answer, at most ``silence_s`` without a part of it.

        ``on_part`` gets each part, the final one too.  Raises PeerRefused (declined) and
        ConnectionLost (lost, or silent: a peer of which nothing at all came is given up).
        """
        self._outbox.check()
        try:
            async with asyncio.timeout(silence_s) as timer:
                await self._take_slot()
                answer = await self._answer(request, silence_s, on_part, timer)
        except TimeoutError as error:
            if self._clock.monotonic_s() - self.heard_s >= silence_s:
                self._stream.abort()
            name = format_node(self._node)
            raise ConnectionLost(f"node {name} was silent for {silence_s:g} s") from error
        if isinstance(answer, Declined):
            raise PeerRefused(answer.code, answer.reason)
        return answer

    async def answered(self, event: Answered, body: Lease) -> None:
        """Hand an answer to who waits for it, and wait until it was taken."""
        if event.final:
            self._slots.release()
        waiting = self._waiting.get(event.number)
        if waiting is None or waiting.answer.done():
            body.release()
            return
        waiting.timer.reschedule(asyncio.get_running_loop().time() + waiting.silence_s)
        await waiting.on_part(event.response, body)
        if event.final and not waiting.answer.done():
            waiting.answer.set_result(event.response)

    def fail(self, error: ConnectionLost) -> None:
        """The link has ended; call it after the outbox was closed."""
        for waiting in self._waiting.values():
            fail_future(waiting.answer, error)
        self._slots.release()

    async def _take_slot(self) -> None:
        """Wait until another request may be in flight; when the link ends, all stop waiting."""
        await self._slots.acquire()
        if not self._outbox.open:
            self._slots.release()
        self._outbox.check()

    async def _answer(
        self, request: FrameRequest, silence_s: float, on_part: OnPart, timer: asyncio.Timeout
    ) -> FrameResponse:
        numbered = self._session.open(request)
        answer: asyncio.Future[FrameResponse] = asyncio.get_running_loop().create_future()
        self._waiting[numbered.request] = _Waiting(answer, on_part, silence_s, timer)
        try:
            self._outbox.queue(numbered)
            return await answer
        finally:
            del self._waiting[numbered.request]
            cancel = self._session.cancel(numbered.request)
            if cancel is not None and self._outbox.open:
                self._outbox.queue(cancel)
