"""What a peer asks of this node: requests in, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from dhtstore.errors import DhtstoreError, PeerRefused
from dhtstore.node.links.frame_io import Body
from dhtstore.node.links.outbox import Gone, Outbox
from dhtstore.params import PEER_REQUESTS_MAX, REASON_MAX_CHARS
from dhtstore.tasks import Supervisor
from dhtstore.transfer.session import Session
from dhtstore.wire.frames import Declined, FrameRequest, FrameResponse


class Reply(Protocol):
    """Sends one response to the request being handled; await it to wait for a slow peer.

    ``gone`` is told when the body takes no memory any more, and whether it was sent.
    """

    def __call__(
        self, response: FrameResponse, *body: Body, gone: Gone | None = None
    ) -> asyncio.Future[None]: ...


Handle = Callable[[Any, Reply], Awaitable[None]]


@dataclass(slots=True)
class _Unanswered:
    """Of one origin: how many, and by how many links they came."""

    requests: int = 0
    links: int = 0


@dataclass(slots=True)
class Backlog:
    """Requests of peers that are not answered yet, over all links of a node."""

    requests: int = 0
    _origins: dict[str, _Unanswered] = field(default_factory=dict)

    def add(self, origin: str, *, first: bool) -> None:
        self.requests += 1
        unanswered = self._origins.setdefault(origin, _Unanswered())
        unanswered.requests += 1
        unanswered.links += first

    def remove(self, origin: str, *, last: bool) -> None:
        self.requests -= 1
        unanswered = self._origins[origin]
        unanswered.requests -= 1
        unanswered.links -= last
        if not unanswered.requests:
            del self._origins[origin]

    def crowded_by(self, origin: str, requests: int) -> bool:
        """Whether there are too many, and an origin has more than its share of them, and one of
        its links, with ``requests``, more than its share of those."""
        if self.requests < PEER_REQUESTS_MAX:
            return False
        crowd = self._origins.get(origin, _Unanswered())
        share = PEER_REQUESTS_MAX / max(1, len(self._origins))
        return crowd.requests >= share and requests * crowd.links >= share


class PeerRequests:
    """A task for each request; unless the link ends, the peer gets an end of each.

    Where too many wait for an answer, those beyond a peer's share are declined at once.  Nothing
    is left unread for them: what others wait for may stand behind.
    """

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        supervisor: Supervisor,
        backlog: Backlog,
        origin: str,
    ) -> None:
        self._session, self._outbox, self._origin = session, outbox, origin
        self._supervisor, self._backlog = supervisor, backlog
        self._handling: dict[int, asyncio.Task[Any]] = {}
        self._unanswered = 0  # also those that were cancelled and have not ended yet

    def decline_unserved(self, request: FrameRequest) -> None:
        """End a request that this node does not serve; the link is not used by that."""
        self._turn_down(request, "unsupported", "this node does not serve that")

    def begin(self, request: FrameRequest, handle: Handle) -> bool:
        """Answer a request by ``handle(request, reply)``; False if the peer has too many."""
        number = request.request
        if self._backlog.crowded_by(self._origin, self._unanswered):
            self._turn_down(request, "busy", "this node has too many requests to answer")
            return False
        task = self._supervisor.spawn(self._answer(handle, request), "link-handler")
        self._handling[number] = task
        self._backlog.add(self._origin, first=not self._unanswered)
        self._unanswered += 1
        task.add_done_callback(lambda done: self._ended(number, done))
        return True

    def cancel(self, number: int) -> None:
        """The peer no longer wants an answer to that request."""
        task = self._handling.pop(number, None)
        if task is not None:
            task.cancel()
        self._outbox.drop(number)
        self._decline(number, Declined(code="cancelled", reason="as asked"))

    def cancel_all(self) -> None:
        """The link has ended: nobody waits for answers."""
        for task in self._handling.values():
            task.cancel()

    def _turn_down(self, request: FrameRequest, code: str, reason: str) -> None:
        """End a request that was not begun: no use of the link."""
        if self._outbox.open:
            declined = Declined(code=code, reason=reason)
            ended = self._session.answer(request.request, declined)
            self._outbox.queue(ended, is_use=False)

    async def _answer(self, handle: Handle, request: FrameRequest) -> None:
        number = request.request
        declined = Declined(code="internal", reason="this node could not answer")
        try:
            await handle(request, partial(self._reply, number))
        except DhtstoreError as error:
            declined = _declined(error)
        except Exception:
            self._decline(number, declined)
            raise
        self._decline(number, declined)

    def _ended(self, number: int, task: asyncio.Task[Any]) -> None:
        if self._handling.get(number) is task:
            del self._handling[number]
        self._unanswered -= 1
        self._backlog.remove(self._origin, last=not self._unanswered)

    def _decline(self, number: int, declined: Declined) -> None:
        """End a request of the peer that has not ended yet."""
        if self._outbox.open and self._session.owed(number):
            self._outbox.queue(self._session.answer(number, declined))

    def _reply(
        self, number: int, response: FrameResponse, *body: Body, gone: Gone | None = None
    ) -> asyncio.Future[None]:
        self._outbox.check()
        return self._outbox.queue(self._session.answer(number, response), *body, gone=gone)


def _declined(error: DhtstoreError) -> Declined:
    """``NoRoom`` becomes the code ``no-room``; who raises PeerRefused chooses the code."""
    name = type(error).__name__
    code = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
    if isinstance(error, PeerRefused):
        code = error.code
    return Declined(code=code, reason=str(error)[:REASON_MAX_CHARS])
