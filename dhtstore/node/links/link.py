"""One authenticated connection: requests out, requests in, over one stream.

A reader takes frames and hands them on: answers to what this node asked (``own_requests``),
requests of the peer (``peer_requests``).  What goes out waits in the ``outbox``.  The rules are
``transfer.Session``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from dhtstore.errors import ConnectionLost, RemoteProtocolError, RulesBroken
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord, subnet
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, format_node, node_id
from dhtstore.net.ports import Clock, Stream
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.crowd import Attendance, Attention
from dhtstore.node.links.frame_io import (
    frame_time_s,
    pass_over_body,
    read_body,
    read_message,
    read_prefix,
)
from dhtstore.node.links.handshake import ProvedPeer
from dhtstore.node.links.outbox import Outbox
from dhtstore.node.links.own_requests import Admit, Asker, OwnRequests
from dhtstore.node.links.peer_requests import Backlog, PeerRequests, Reply
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import IDLE_CONNECTION_TIMEOUT_S, PACED_BLOCK_BYTES, REQUEST_TIMEOUT_S
from dhtstore.tasks import Supervisor
from dhtstore.trace import Tracer
from dhtstore.transfer.fair_queue import Payer
from dhtstore.transfer.pace import Rate
from dhtstore.transfer.session import Answered, Asked, Cancelled, Event, Reported, Session
from dhtstore.wire.frames import (
    Blocks,
    FrameRequest,
    FrameResponse,
    GetBlocks,
    GetComing,
    Replicating,
    Wrong,
)

A = TypeVar("A", bound=FrameResponse)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Part of an answer to ``get_blocks``: blocks by index, not verified, and what is missing.

    The blocks lie in one buffer; whoever is done with all of them releases ``lease``.
    ``passed_over`` are those that were not admitted, and how large they are.
    """

    blocks: list[tuple[int, memoryview]]
    missing: tuple[int, ...]
    lease: Lease
    passed_over: list[tuple[int, int]]


Handler = Callable[["Link", Any, Reply], Awaitable[None]]


class Link:
    """Made by ``Links``; alive until either side closes it."""

    def __init__(
        self,
        stream: Stream,
        peer: ProvedPeer,
        *,
        ours: bool,
        handlers: Mapping[type[FrameRequest], Handler],
        clock: Clock,
        supervisor: Supervisor,
        tracer: Tracer,
        backlog: Backlog,
        attention: Attention,
        on_wrong: Callable[[Link, bytes], None],
        traffic: Traffic,
    ) -> None:
        self.public_key: PublicKey = peer.public_key
        self.node: NodeId = node_id(peer.public_key)
        self.remote: Address = stream.remote
        self.ours = ours  # whether this node dialled it
        self.origin: str = subnet(stream.remote)
        self.peer_record: ContactRecord | None = peer.record
        self.meeting: bytes = peer.meeting  # 32: of this link only, fresh for both ends
        self.granted = 0  # for how many requests of ours the peer may ask for blocks
        self.version: int = peer.version  # that both ends speak
        self.features: frozenset[str] = peer.features  # that both ends have
        self.serving = asyncio.Lock()  # held while blocks are read and sent: one answer at a time
        self.stream, self._handlers, self._clock = stream, handlers, clock
        self._supervisor, self._tracer, self._on_wrong = supervisor, tracer, on_wrong
        session, payer = Session(), Payer(self.origin, peer.public_key, object())
        self._session, self._outbox = session, Outbox(stream, clock, traffic, payer)
        self._received = Rate(clock.monotonic_s())
        self._attendance = Attendance(attention, self.origin, clock)
        self._own_requests = OwnRequests(session, self._outbox, stream, self.node, clock)
        self._peer_requests = PeerRequests(session, self._outbox, supervisor, backlog, self.origin)

    @property
    def alive(self) -> bool:
        return self._outbox.open

    @property
    def busy(self) -> bool:
        return self._session.busy

    @property
    def idle_since_s(self) -> float:
        """When it was last used, on the clock's monotonic scale.  What is not understood, or not
        served, is no use of it."""
        return max(self._own_requests.heard_s, self._outbox.queued_s)

    @property
    def rate(self) -> float:
        """How much it brought lately, either way: bytes that fade with time."""
        now_s = self._clock.monotonic_s()
        return self._received.lately(now_s) + self._outbox.sent.lately(now_s)

    @property
    def stalled_s(self) -> float:
        """How long the peer has read nothing of what waits for it."""
        return self._outbox.stalled_s

    @property
    def sent_bytes(self) -> int:
        """Of blocks, that have left for the peer so far."""
        return self._outbox.sent_bytes

    # --- asking -----------------------------------------------------------------------------

    async def request(
        self,
        message: FrameRequest,
        expected: type[A],
        timeout_s: float = REQUEST_TIMEOUT_S,
        on_progress: Callable[[Replicating], None] = lambda told: None,
        worth: Callable[[int], int] = lambda held_bytes: 0,
    ) -> A:
        """Ask and wait for the final answer: ``timeout_s``, and longer only by what ``worth`` says
        that the peer has delivered since, when it tells how much it holds (``CopyCredit.of``).

        Raises PeerRefused (declined), ConnectionLost (lost or silent), RemoteProtocolError.
        """
        asker = _told(on_progress, worth)
        answer = await self._own_requests.ask(message, timeout_s, asker)
        if not isinstance(answer, expected):
            raise RemoteProtocolError(f"a {type(answer).__name__} where another answer is due")
        return answer

    async def get_blocks(
        self,
        cids: Sequence[Cid],
        on_arrival: Callable[[Arrival], None],
        admit: Admit,
        timeout_s: float = REQUEST_TIMEOUT_S,
        coming: DhtKey | None = None,
    ) -> None:
        """Ask for at most WANTS_PER_REQUEST_MAX blocks; returns when each has arrived, was passed
        over for want of room or was named missing.  ``admit``: see ``Asker``.  ``coming`` is a unit
        that the peer receives: it is waited for.  Raises PeerRefused, ConnectionLost."""
        wanted = _wanted(tuple(cid.raw for cid in cids), coming)
        await self._own_requests.ask(wanted, timeout_s, _taking(on_arrival, admit))

    def tell_wrong(self, cid: Cid) -> None:
        """Tell the peer that what it sent for a CID was not its bytes.  Nothing is owed for it,
        and it is no use of the link; where much waits to be sent it is left out."""
        if self._outbox.open and not self._outbox.crowded:
            self._outbox.queue(Wrong(cid.raw), is_use=False)

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the connection ends, by whichever side."""
        writer = self._supervisor.spawn(self._write(), "link-writer")
        idle = _IdleWatch(self, self._clock)
        try:
            await self._read()
        except ConnectionLost as error:
            self._end(error)
        except (RemoteProtocolError, TimeoutError) as error:
            self._tracer("link.violation", origin=self.origin, error=f"{self.remote}: {error}")
            self._end(RulesBroken(f"the connection was closed: {error or 'a frame took long'}"))
        finally:
            idle.cancel()
            writer.cancel()
            self._end(ConnectionLost("this node closed the connection"))

    async def close(self) -> None:
        """Close in order; whoever waits for an answer gets ConnectionLost."""
        self._end(ConnectionLost("this node closed the connection"), abort=False)
        await self.stream.close()

    def abandon(self, why: str = "the connection was idle") -> None:
        """End it now to make room for others."""
        self._end(ConnectionLost(why))

    def _end(self, error: ConnectionLost, *, abort: bool = True) -> None:
        if abort:
            self.stream.abort()
        if self.alive:
            self._outbox.close(error)
            self._own_requests.fail(error)
            self._peer_requests.cancel_all()

    async def _write(self) -> None:
        try:
            await self._outbox.run()
        except ConnectionLost as error:
            self._end(error)

    async def _read(self) -> None:
        while True:
            begun = await self.stream.read_exactly(1)
            begun_s = asyncio.get_running_loop().time()
            async with asyncio.timeout(REQUEST_TIMEOUT_S) as timer:
                sizes = await read_prefix(self.stream, begun)
                timer.reschedule(begun_s + frame_time_s(sizes))
                frame = await read_message(self.stream, sizes)
                event = self._session.receive(frame)
                body = await self._body(event, sizes[1])
            if body is not None:
                self._received.add(len(body.view), self._clock.monotonic_s())
            if not isinstance(event, Answered):
                await self._attendance.frame_came()
            if event is None:  # nothing that concerns us
                self._tracer("link.passed_over", node=format_node(self.node), frame=repr(frame))
                continue
            if isinstance(event, Answered):
                if event.progress:
                    self._used()
                self._own_requests.answered(event, body)
            elif isinstance(event, Asked):
                self._begin(event.request)
            elif isinstance(event, Cancelled):
                self._peer_requests.cancel(event.number)
            elif isinstance(event, Reported):
                self._on_wrong(self, event.cid)
            if self._outbox.crowded:  # it asks and does not read
                await self._outbox.room()

    async def _body(self, event: Event | None, size_bytes: int) -> Lease | None:
        """The body of a frame, if somebody here waits for it and has room."""
        answer = event if isinstance(event, Answered) else None
        gone = self._own_requests.admit(answer) if answer and size_bytes else None
        if size_bytes and gone is None:
            await pass_over_body(self.stream, size_bytes)
            return None
        return await read_body(self.stream, size_bytes, gone or _nothing)

    def _begin(self, request: FrameRequest) -> None:
        handler = self._handlers.get(type(request))
        if handler is None:
            self._peer_requests.decline_unserved(request)
            return
        if self._peer_requests.begin(request, partial(handler, self)):
            self._used()

    def _used(self) -> None:
        """By something that was asked or answered."""
        self._own_requests.heard_s = self._clock.monotonic_s()


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


def _wanted(cids: tuple[bytes, ...], coming: DhtKey | None) -> GetBlocks:
    return GetBlocks(cids=cids) if coming is None else GetComing(cids=cids, key=coming)


def _told(on_progress: Callable[[Replicating], None], worth: Callable[[int], int]) -> Asker:
    def on_part(response: FrameResponse, body: Lease | None) -> None:
        if isinstance(response, Replicating):
            on_progress(response)

    def delivered(response: FrameResponse) -> int:
        return worth(response.held_bytes) if isinstance(response, Replicating) else 0

    return Asker(on_part, delivered=delivered)


def _taking(on_arrival: Callable[[Arrival], None], admit: Admit) -> Asker:
    def on_part(response: FrameResponse, body: Lease | None) -> None:
        if isinstance(response, Blocks):
            on_arrival(_arrival(response, body))

    return Asker(on_part, admit, _block_bytes)


def _arrival(response: Blocks, lease: Lease | None) -> Arrival:
    if lease is None:
        told = list(zip(response.indices, response.sizes, strict=True))
        return Arrival([], response.missing, Lease(memoryview(b"")), told)
    blocks, at, body = [], 0, lease.view
    for index, size in zip(response.indices, response.sizes, strict=True):
        blocks.append((index, body[at : at + size]))
        at += size
    return Arrival(blocks, response.missing, lease, [])


def _block_bytes(response: FrameResponse) -> int:
    sizes = response.sizes if isinstance(response, Blocks) else ()
    return sum(max(size_bytes, PACED_BLOCK_BYTES) for size_bytes in sizes)


def _nothing() -> None:
    """Nobody need know when the bytes are gone."""
