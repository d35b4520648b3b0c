"""Driving a lookup or a batch of requests by callbacks: one future and one timer, no tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from dhtstore.dht.core.crowds import Crowds
from dhtstore.dht.core.peer import Peer, unpack_peers
from dhtstore.dht.engine.calls import ATTEMPTS, Calls, PendingCall
from dhtstore.errors import RemoteProtocolError
from dhtstore.wire.datagram import (
    FindContact,
    FindNode,
    FindPolicy,
    FoundContact,
    FoundNodes,
    FoundPolicy,
    GetProviders,
    Providers,
    Request,
    Response,
    split_contacts,
)

WINDOW_MAX: Final = 32  # requests of one batch in flight
OnAnswer = Callable[[Peer, Response], bool]


class Search(Protocol):
    """What is driven: a ``Lookup``, or several of them as one.  Each member is as there."""

    def next(self, now: float) -> list[Peer]: ...

    def question(self, peer: Peer) -> bytes: ...

    def wake_at(self) -> float | None: ...

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None: ...

    def on_failure(self, peer: Peer) -> None: ...

    @property
    def finished(self) -> bool: ...

    @property
    def asked(self) -> int: ...

    @property
    def answered(self) -> int: ...

    def result(self) -> list[Peer]: ...


class Crawl:
    """Runs one Search to its end through the network, asking each peer ``request``.

    ``on_answer`` sees every answer and returns True to stop early.
    """

    def __init__(
        self,
        calls: Calls,
        lookup: Search,
        request: FindNode | GetProviders | FindContact | FindPolicy,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self.lookup = lookup
        self._calls, self._request, self._on_answer = calls, request, on_answer
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._pages = 0
        self._unsent = Unsent(calls)

    async def run(self) -> None:
        """Until the lookup is finished; may be cancelled, the answers so far remain."""
        try:
            self._pump()
            await self._done
        finally:
            self._stop()

    def ask_page(self, peer: Peer, request: GetProviders) -> None:
        """Ask ``peer`` for more before the crawl may end."""
        self._pages += 1
        self._unsent.note(self._calls.ask(peer, request, self._page_done))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._done.done():
            self._done.set_result(None)
        self._unsent.forget()

    def _pump(self) -> None:
        if self._done.done():
            return
        for peer in self.lookup.next(self._loop.time()):
            self._unsent.note(self._calls.ask(peer, self._request_to(peer), self._answered))
        if self.lookup.finished and not self._pages:
            self._stop()
        elif self._timer is None and (wake_at := self.lookup.wake_at()) is not None:
            self._timer = self._loop.call_at(wake_at, self._wake)

    def _request_to(self, peer: Peer) -> Request:
        """Records are where their key is; only who is there can be asked about in parts."""
        if isinstance(self._request, FindNode):
            return FindNode(self.lookup.question(peer))
        return self._request

    def _wake(self) -> None:
        self._timer = None
        self._pump()

    def _answered(self, peer: Peer, response: Response | None) -> None:
        if self._done.done():
            return
        contacts = contacts_in(peer, response, self._calls.crowds)
        if response is None or contacts is None:
            self.lookup.on_failure(peer)
        else:
            self.lookup.on_response(peer, contacts)
            self._offer(peer, response)
        self._pump()

    def _page_done(self, peer: Peer, response: Response | None) -> None:
        self._pages -= 1
        if not self._done.done():
            if response is not None:
                self._offer(peer, response)
            self._pump()

    def _offer(self, peer: Peer, response: Response) -> None:
        if self._on_answer is not None and self._on_answer(peer, response):
            self._stop()


class Unsent:
    """Requests that wait for their turn, and are not sent once nobody wants their answers.  Those
    that are out go on: who answers them lives, and who does not is to blame."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._waiting: list[PendingCall] = []

    def note(self, call: PendingCall) -> None:
        if not call.sends:
            self._waiting.append(call)

    def forget(self) -> None:
        """Nobody waits for them any more."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if not call.sends:
                self._calls.forget(call)


def contacts_in(peer: Peer, response: Response | None, crowds: Crowds) -> list[Peer] | None:
    """The usable contacts that ``peer`` named; None if its answer is malformed, or a refusal."""
    if not isinstance(response, FoundNodes | Providers | FoundContact | FoundPolicy):
        return None
    try:
        named = unpack_peers(split_contacts(response.contacts, ipv6=peer.ipv6))
    except RemoteProtocolError:
        return None
    return crowds.followed(named, peer)


class RequestBatch:
    """Sends requests, a window of them at a time; ``answers`` runs parallel to them."""

    def __init__(
        self, calls: Calls, requests: Sequence[tuple[Peer, Request]], attempts: int = ATTEMPTS
    ) -> None:
        self._attempts = attempts
        self.answers: list[Response | None] = [None] * len(requests)
        self._calls, self._waiting = calls, enumerate(requests)
        self._missing, self._unsent = len(requests), Unsent(calls)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until every request was answered or given up; may be cancelled."""
        if not self._missing:
            return
        try:
            for _ in range(WINDOW_MAX):
                self._send_next(self._waiting)
            await self._done
        finally:
            self._done.cancel()
            self._unsent.forget()

    def _send_next(self, waiting: Iterator[tuple[int, tuple[Peer, Request]]]) -> None:
        following = next(waiting, None)
        if following is None:
            return
        index, (peer, request) = following

        def on_done(_: Peer, response: Response | None) -> None:
            self._answered(index, response)

        self._unsent.note(self._calls.ask(peer, request, on_done, attempts=self._attempts))

    def _answered(self, index: int, response: Response | None) -> None:
        if self._done.done():
            return
        self.answers[index] = response
        self._missing -= 1
        if self._missing:
            self._send_next(self._waiting)
        else:
            self._done.set_result(None)


async def within(timeout_s: float, work: Crawl | RequestBatch) -> bool:
    """Run ``work``; False if the deadline cut it short."""
    try:
        async with asyncio.timeout(timeout_s):
            await work.run()
    except TimeoutError:
        return False
    return True
