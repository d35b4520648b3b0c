"""One connection after its handshake: who owes what.  Pure: messages in, verdicts out.

Both sides may ask.  A request lives from ``open`` (ours) or ``receive`` (the peer's) until its
final response; each side has at most REQUESTS_IN_FLIGHT_MAX of them, cancelled ones included,
so neither can make the other remember without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.params import REQUESTS_IN_FLIGHT_MAX
from dhtstore.wire.frames import (
    Accepted,
    Blocks,
    Cancel,
    Declined,
    GetBlocks,
    Held,
    Message,
    Offer,
    Progress,
    Release,
    Released,
    Replicate,
    Request,
    Response,
)

_ANSWERS: Final[dict[type[Request], tuple[type[Response], ...]]] = {
    GetBlocks: (Blocks, Declined),
    Offer: (Accepted, Declined),
    Replicate: (Progress, Held, Declined),
    Release: (Released, Declined),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The peer wants something: run it and answer."""

    request: Request


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer answered our request ``number``; ``final`` when nothing more will come.

    ``wanted`` is False when we cancelled it: the answer is to be dropped.
    """

    number: int
    response: Response
    final: bool
    wanted: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer no longer wants its request ``number``, which is still owed an end."""

    number: int


@dataclass(slots=True)
class _Open:
    """A request in flight; for GetBlocks the indices that no response named yet, a bit each:
    a set takes 8 KiB, and peers decide how many there are."""

    kind: type[Request]
    indices: int
    wanted: bool = True

    @classmethod
    def of(cls, request: Request) -> _Open:
        count = len(request.cids) if isinstance(request, GetBlocks) else 0
        return cls(type(request), (1 << count) - 1)

    def take(self, response: Response) -> bool:
        """Account for a response and say whether it is the last; raises ValueError if this
        request is not answered so."""
        if type(response) not in _ANSWERS[self.kind]:
            raise ValueError(f"{self.kind.__name__} answered by {type(response).__name__}")
        if isinstance(response, Blocks):
            self._take_indices(response)
            return not self.indices
        return not isinstance(response, Progress)

    def _take_indices(self, response: Blocks) -> None:
        named = response.indices + response.missing
        if len(response.sizes) != len(response.indices) or not named:
            raise ValueError("Blocks that do not name what they carry")
        for index in named:
            if not self.indices >> index & 1:
                raise ValueError("Blocks that were not asked for, or came before")
            self.indices ^= 1 << index


class Session:
    """What is in flight both ways on one connection."""

    def __init__(self) -> None:
        self._ours: dict[int, _Open] = {}
        self._theirs: dict[int, _Open] = {}
        self._last = 0

    @property
    def busy(self) -> bool:
        return bool(self._ours or self._theirs)

    @property
    def room(self) -> int:
        """How many more requests we may have in flight."""
        return REQUESTS_IN_FLIGHT_MAX - len(self._ours)

    def open(self, request: Request) -> Request:
        """The request with its number, to be sent; raises LocalProtocolError without room."""
        if self.room <= 0:
            raise LocalProtocolError("too many requests in flight to one peer")
        self._last += 1
        self._ours[self._last] = _Open.of(request)
        return msgspec.structs.replace(request, request=self._last)

    def cancel(self, number: int) -> Cancel | None:
        """What to send when an answer is no longer wanted; None if it has ended already."""
        ours = self._ours.get(number)
        if ours is None or not ours.wanted:
            return None
        ours.wanted = False
        return Cancel(number)

    def answer(self, number: int, response: Response) -> Response:
        """The response to the peer's request, to be sent; raises LocalProtocolError when the
        request is not open or not answered so."""
        theirs = self._theirs.get(number)
        if theirs is None:
            raise LocalProtocolError(f"request {number} of the peer has ended")
        try:
            final = theirs.take(response)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from error
        if final:
            del self._theirs[number]
        return msgspec.structs.replace(response, request=number)

    def owed(self, number: int) -> bool:
        """Whether the peer still waits for an end of its request."""
        return number in self._theirs

    def receive(self, message: Message) -> Asked | Answered | Cancelled | None:
        """What a message means; raises RemoteProtocolError when it breaks the rules.

        None for a cancel that crossed the end of its request.
        """
        if isinstance(message, Request):
            return self._asked(message)
        if isinstance(message, Response):
            return self._answered(message)
        if isinstance(message, Cancel):
            return Cancelled(message.request) if message.request in self._theirs else None
        raise RemoteProtocolError(f"a {type(message).__name__} after the handshake")

    def _asked(self, request: Request) -> Asked:
        if request.request in self._theirs:
            raise RemoteProtocolError(f"request {request.request} is in flight already")
        if len(self._theirs) >= REQUESTS_IN_FLIGHT_MAX:
            raise RemoteProtocolError("too many requests in flight")
        self._theirs[request.request] = _Open.of(request)
        return Asked(request)

    def _answered(self, response: Response) -> Answered:
        ours = self._ours.get(response.request)
        if ours is None:
            raise RemoteProtocolError("an answer to nothing we asked")
        try:
            final = ours.take(response)
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from error
        if final:
            del self._ours[response.request]
        return Answered(response.request, response, final, ours.wanted)
