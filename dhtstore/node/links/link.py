"""One authenticated connection: requests out, requests in, over one stream.

A reader task takes frames and hands them on, a writer task sends whole frames in order, so that
whoever stops waiting never leaves half a frame behind.  The rules are ``transfer.Session``'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from dhtstore.errors import (
    ConnectionLost,
    DhtstoreError,
    PeerRefused,
    RemoteProtocolError,
)
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import NodeId, PublicKey, format_node, node_id
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.frame_io import Body, read_prefix, read_rest, write_frame
from dhtstore.node.links.handshake import ProvedPeer
from dhtstore.params import (
    IDLE_CONNECTION_TIMEOUT_S,
    OUTGOING_FRAMES_MAX,
    PEER_REQUESTS_MAX,
    REASON_MAX_CHARS,
    REQUEST_TIMEOUT_S,
    REQUESTS_IN_FLIGHT_MAX,
)
from dhtstore.tasks import Supervisor
from dhtstore.trace import Tracer
from dhtstore.transfer.session import Answered, Asked, Cancelled, Session
from dhtstore.wire.frames import (
    Blocks,
    Declined,
    Frame,
    FrameRequest,
    FrameResponse,
    GetBlocks,
    Replicating,
)

A = TypeVar("A", bound=FrameResponse)


class Reply(Protocol):
    """Sends one response to the request being handled; await it to wait for a slow peer."""

    def __call__(self, response: FrameResponse, *body: Body) -> asyncio.Future[None]: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """Part of an answer to ``get_blocks``: blocks by index, not verified, and what is missing.

    The blocks lie in one buffer; whoever is done with all of them releases ``lease``.
    """

    blocks: list[tuple[int, memoryview]]
    missing: tuple[int, ...]
    lease: Lease


Handler = Callable[["Link", Any, Reply], Awaitable[None]]
OnPart = Callable[[FrameResponse, Lease], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[FrameResponse]
    on_part: OnPart
    silence_s: float
    timer: asyncio.Timeout


@dataclass(frozen=True, slots=True)
class _Outgoing:
    message: Frame
    body: tuple[Body, ...]
    sent: asyncio.Future[None]


@dataclass(slots=True)
class Backlog:
    """Requests of peers that are not answered yet, over all links of a node."""

    requests: int = 0
    links: int = 0  # that such requests came by

    def add(self, *, first: bool) -> None:
        self.requests += 1
        self.links += first

    def remove(self, *, last: bool) -> None:
        self.requests -= 1
        self.links -= last

    def crowded_by(self, requests: int) -> bool:
        """Whether there are too many, and more than its share came by one link."""
        return self.requests > PEER_REQUESTS_MAX and requests * self.links > PEER_REQUESTS_MAX


class Link:
    """Made by ``Links``; alive until either side closes it."""

    def __init__(
        self,
        stream: Stream,
        peer: ProvedPeer,
        *,
        handlers: Mapping[type[FrameRequest], Handler],
        clock: Clock,
        supervisor: Supervisor,
        tracer: Tracer,
        backlog: Backlog,
    ) -> None:
        self.public_key: PublicKey = peer.public_key
        self.node: NodeId = node_id(peer.public_key)
        self.remote: Address = stream.remote
        self.peer_record: ContactRecord | None = peer.record
        self.features: frozenset[str] = peer.features  # that both ends have
        self.serving = asyncio.Lock()  # held while blocks are read and sent: one answer at a time
        self._stream, self._handlers, self._clock = stream, handlers, clock
        self._supervisor, self._tracer = supervisor, tracer
        self._session = Session()
        self._waiting: dict[int, _Waiting] = {}
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self._handling: dict[int, asyncio.Task[Any]] = {}
        self._backlog, self._unanswered = backlog, 0
        self._answered_one = asyncio.Event()
        self._outgoing: deque[_Outgoing] = deque()
        self._wake_writer = asyncio.Event()
        self._sending = False
        self._lost: ConnectionLost | None = None
        self._heard_s = self._used_s = self._taken_s = clock.monotonic_s()

    @property
    def alive(self) -> bool:
        return self._lost is None

    @property
    def busy(self) -> bool:
        return self._session.busy

    @property
    def idle_since_s(self) -> float:
        """When it was last used, on the clock's monotonic scale."""
        return self._used_s

    @property
    def stalled_s(self) -> float:
        """How long the peer has read nothing of what waits for it."""
        return self._clock.monotonic_s() - self._taken_s if self._sending else 0.0

    # --- asking -----------------------------------------------------------------------------

    async def request(
        self,
        message: FrameRequest,
        expected: type[A],
        timeout_s: float = REQUEST_TIMEOUT_S,
        on_progress: Callable[[Replicating], None] | None = None,
    ) -> A:
        """Ask and wait for the final answer, at most ``timeout_s`` without a sign of progress.

        Raises PeerRefused (declined), ConnectionLost (lost or silent), RemoteProtocolError.
        """

        async def on_part(response: FrameResponse, body: Lease) -> None:
            if on_progress is not None and isinstance(response, Replicating):
                on_progress(response)

        answer = await self._ask(message, timeout_s, on_part)
        if not isinstance(answer, expected):
            raise RemoteProtocolError(f"a {type(answer).__name__} where another answer is due")
        return answer

    async def get_blocks(
        self,
        cids: Sequence[Cid],
        on_arrival: Callable[[Arrival], Awaitable[None]],
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        """Ask for at most WANTS_PER_REQUEST_MAX blocks; returns when each has arrived or was
        named missing.  While ``on_arrival`` waits nothing more is read from this peer.

        Raises PeerRefused, ConnectionLost.
        """

        async def on_part(response: FrameResponse, body: Lease) -> None:
            if isinstance(response, Blocks):
                await on_arrival(_arrival(response, body))

        await self._ask(GetBlocks(cids=tuple(cid.raw for cid in cids)), timeout_s, on_part)

    async def _ask(self, request: FrameRequest, silence_s: float, on_part: OnPart) -> FrameResponse:
        self._check()
        try:
            async with asyncio.timeout(silence_s) as timer:
                await self._take_slot()
                answer = await self._asked(request, silence_s, on_part, timer)
        except TimeoutError as error:
            if self._clock.monotonic_s() - self._heard_s >= silence_s:
                self._stream.abort()  # nothing at all came: the peer is gone, not busy
            name = format_node(self.node)
            raise ConnectionLost(f"node {name} was silent for {silence_s:g} s") from error
        if isinstance(answer, Declined):
            raise PeerRefused(answer.code, answer.reason)
        return answer

    async def _take_slot(self) -> None:
        """Wait until another request may be in flight; when the link ends, all stop waiting."""
        await self._slots.acquire()
        if self._lost is not None:
            self._slots.release()
        self._check()

    async def _asked(
        self, request: FrameRequest, silence_s: float, on_part: OnPart, timer: asyncio.Timeout
    ) -> FrameResponse:
        opened = self._session.open(request)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), on_part, silence_s, timer)
        self._waiting[opened.request] = waiting
        try:
            self._queue(opened)
            return await waiting.answer
        finally:
            del self._waiting[opened.request]
            cancel = self._session.cancel(opened.request)
            if cancel is not None and self.alive:
                self._queue(cancel)

    # --- the life of a link -----------------------------------------------------------------

    async def run(self) -> None:
        """Read until the connection ends, by whichever side."""
        writer = self._supervisor.spawn(self._write_frames(), "link-writer")
        idle = _IdleWatch(self, self._clock)
        try:
            await self._read_frames()
        except ConnectionLost as error:
            self._end(error)
        except (RemoteProtocolError, TimeoutError) as error:
            self._tracer("link.violation", node=format_node(self.node), error=str(error))
            self._end(ConnectionLost(f"the connection was closed: {error or 'a frame took long'}"))
        finally:
            idle.cancel()
            writer.cancel()
            self._end(ConnectionLost("this node closed the connection"))

    async def close(self) -> None:
        """Close in order; whoever waits for an answer gets ConnectionLost."""
        self._end(ConnectionLost("this node closed the connection"), abort=False)
        await self._stream.close()

    def abandon(self, why: str = "the connection was idle") -> None:
        """End it now to make room for others."""
        self._end(ConnectionLost(why))

    def _end(self, error: ConnectionLost, *, abort: bool = True) -> None:
        if abort:
            self._stream.abort()
        if self._lost is not None:
            return
        self._lost = ConnectionLost(*error.args)  # a traceback would keep what was to be sent
        for waiting in self._waiting.values():
            _fail(waiting.answer, error)
        for outgoing in self._outgoing:
            _fail(outgoing.sent, error)
        self._outgoing.clear()
        for task in self._handling.values():
            task.cancel()
        self._slots.release()

    def _check(self) -> None:
        if self._lost is not None:
            raise ConnectionLost(*self._lost.args)

    # --- reading ----------------------------------------------------------------------------

    async def _read_frames(self) -> None:
        while True:
            sizes = await read_prefix(self._stream)
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                frame, body = await read_rest(self._stream, sizes)
            self._heard_s = self._clock.monotonic_s()
            event = self._session.receive(frame)
            if event is None:
                continue  # nothing that concerns us: a link is not used by that
            self._used_s = self._heard_s
            if isinstance(event, Answered):
                await self._answered(event, body)
            elif isinstance(event, Asked):
                self._asked_by_peer(event.request)
            elif isinstance(event, Cancelled):
                self._cancelled_by_peer(event.number)
            if len(self._outgoing) > OUTGOING_FRAMES_MAX:  # it asks and does not read
                await self._outgoing[-1].sent
            while self._backlog.crowded_by(self._unanswered):
                self._answered_one.clear()
                await self._answered_one.wait()

    async def _answered(self, event: Answered, body: Lease) -> None:
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

    def _asked_by_peer(self, request: FrameRequest) -> None:
        handler = self._handlers.get(type(request))
        if handler is None:
            self._decline(
                request.request,
                Declined(code="unsupported", reason="this node does not serve that"),
            )
            return
        number = request.request
        task = self._supervisor.spawn(self._handle(handler, request), "link-handler")
        self._handling[number] = task
        self._backlog.add(first=not self._unanswered)
        self._unanswered += 1
        task.add_done_callback(lambda done: self._forget(number, done))

    def _forget(self, number: int, task: asyncio.Task[Any]) -> None:
        if self._handling.get(number) is task:
            del self._handling[number]
        self._unanswered -= 1
        self._backlog.remove(last=not self._unanswered)
        self._answered_one.set()

    def _cancelled_by_peer(self, number: int) -> None:
        task = self._handling.pop(number, None)
        if task is not None:
            task.cancel()
        self._decline(number, Declined(code="cancelled", reason="as asked"))

    # --- answering --------------------------------------------------------------------------

    async def _handle(self, handler: Handler, request: FrameRequest) -> None:
        """Run one handler; unless the link ends, the peer gets an end of its request."""
        number = request.request
        declined = Declined(code="internal", reason="this node could not answer")
        try:
            await handler(self, request, partial(self._reply, number))
        except DhtstoreError as error:
            declined = _declined(error)
        except Exception:
            self._decline(number, declined)
            raise
        self._decline(number, declined)

    def _decline(self, number: int, declined: Declined) -> None:
        """End a request of the peer that has not ended yet."""
        if self.alive and self._session.owed(number):
            self._queue(self._session.answer(number, declined))

    def _reply(self, number: int, response: FrameResponse, *body: Body) -> asyncio.Future[None]:
        self._check()
        return self._queue(self._session.answer(number, response), *body)

    # --- writing ----------------------------------------------------------------------------

    def _queue(self, message: Frame, *body: Body) -> asyncio.Future[None]:
        """Hand a frame to the writer; the future is done when it has been sent."""
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.add_done_callback(_retrieved)
        self._outgoing.append(_Outgoing(message, body, sent))
        self._used_s = self._clock.monotonic_s()
        self._wake_writer.set()
        return sent

    async def _write_frames(self) -> None:
        try:
            while True:
                await self._wake_writer.wait()
                self._wake_writer.clear()
                while self._outgoing:
                    await self._write_next()
        except ConnectionLost as error:
            self._end(error)
        except TimeoutError:
            self._end(ConnectionLost("the peer reads too slowly"))

    async def _write_next(self) -> None:
        outgoing = self._outgoing.popleft()
        self._sending, self._taken_s = True, self._clock.monotonic_s()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S) as timer:
                taken = partial(self._taken, timer)
                await write_frame(self._stream, outgoing.message, *outgoing.body, taken=taken)
        except BaseException:
            _fail(outgoing.sent, ConnectionLost("the connection ended"))
            raise
        finally:
            self._sending = False
        if not outgoing.sent.done():
            outgoing.sent.set_result(None)

    def _taken(self, timer: asyncio.Timeout) -> None:
        """The peer reads: it may take its time for a frame, but not do nothing."""
        self._taken_s = self._clock.monotonic_s()
        timer.reschedule(asyncio.get_running_loop().time() + REQUEST_TIMEOUT_S)


class _IdleWatch:
    """Ends a link that nobody used for IDLE_CONNECTION_TIMEOUT_S; a timer, not a task."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._clock = link, clock
        self._arm(IDLE_CONNECTION_TIMEOUT_S)

    def cancel(self) -> None:
        self._timer.cancel()

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._check)

    def _check(self) -> None:
        idle_s = self._clock.monotonic_s() - self._link.idle_since_s
        if self._link.busy:
            self._arm(IDLE_CONNECTION_TIMEOUT_S)
        elif idle_s < IDLE_CONNECTION_TIMEOUT_S:
            self._arm(IDLE_CONNECTION_TIMEOUT_S - idle_s)
        else:
            self._link.abandon()


def _arrival(response: Blocks, lease: Lease) -> Arrival:
    blocks, at, body = [], 0, lease.view
    for index, size in zip(response.indices, response.sizes, strict=True):
        blocks.append((index, body[at : at + size]))
        at += size
    return Arrival(blocks, response.missing, lease)


def _declined(error: DhtstoreError) -> Declined:
    """``NoRoom`` becomes the code ``no-room``; who raises PeerRefused chooses the code."""
    name = type(error).__name__
    code = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
    if isinstance(error, PeerRefused):
        code = error.code
    return Declined(code=code, reason=str(error)[:REASON_MAX_CHARS])


def _fail(future: asyncio.Future[Any], error: ConnectionLost) -> None:
    if not future.done():
        future.set_exception(ConnectionLost(*error.args))


def _retrieved(future: asyncio.Future[None]) -> None:
    """Frames nobody waits for may fail unseen: the link's end tells everybody."""
    if not future.cancelled():
        future.exception()
