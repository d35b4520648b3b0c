"""One connection after its handshake: who owes what.  Pure: messages in, verdicts out.

Both sides may ask.  A request lives from ``open`` (ours) or ``receive`` (the peer's) until its
final response; each side has at most REQUESTS_IN_FLIGHT_MAX of them, cancelled ones included,
so neither can make the other remember without end.  Frames of a later version that ask nothing
are passed over, UNKNOWN_FRAMES_MAX in a row at most: to read them is work nobody gains from.
Reports of wrong bytes count as such, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.params import REQUESTS_IN_FLIGHT_MAX, UNKNOWN_FRAMES_MAX
from dhtstore.wire.frames import (
    Blocks,
    Cancel,
    Declined,
    Frame,
    FrameRequest,
    FrameResponse,
    GetBlocks,
    Replicating,
    UnknownFrame,
    UnknownRequest,
    Wrong,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The peer wants something: run it and answer."""

    request: FrameRequest


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer answered our request ``number``; ``final`` when nothing more will come.

    ``wanted`` is False when we cancelled it: the answer is to be dropped.  ``progress`` is False
    when it only repeats what the peer said before.
    """

    number: int
    response: FrameResponse
    final: bool
    wanted: bool
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer no longer wants its request ``number``, which is still owed an end."""

    number: int


@dataclass(frozen=True, slots=True)
class Reported:
    """The peer says that what it got from us for a CID was wrong."""

    cid: bytes


Event = Asked | Answered | Cancelled | Reported


@dataclass(slots=True)
class _InFlight:
    """A request in flight; for GetBlocks the indices that no response named yet, a bit each:
    a set takes 8 KiB, and peers decide how many there are."""

    kind: type[FrameRequest]
    indices: int
    wanted: bool = True
    held_bytes: int = -1  # that the peer told of

    @classmethod
    def of(cls, request: FrameRequest) -> _InFlight:
        count = len(request.cids) if isinstance(request, GetBlocks) else 0
        return cls(type(request), (1 << count) - 1)

    def take(self, response: FrameResponse) -> bool:
        """Account for a response and say whether it is the last; raises ValueError if this
        request is not answered so."""
        kind = type(response)
        if kind is not Declined and kind not in self.kind.answers:
            raise ValueError(f"{self.kind.__name__} answered by {type(response).__name__}")
        if isinstance(response, Blocks):
            self._take_indices(response)
            return not self.indices
        return response.final

    def brought_on_by(self, response: FrameResponse) -> bool:
        """Whether a response says more than those before: a peer may tell for ever that it is
        still at it."""
        if not isinstance(response, Replicating):
            return True
        grown = response.held_bytes > self.held_bytes
        self.held_bytes = max(self.held_bytes, response.held_bytes)
        return grown

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
        self._ours: dict[int, _InFlight] = {}
        self._theirs: dict[int, _InFlight] = {}
        self._last = 0
        self._unknown_in_a_row = 0

    @property
    def busy(self) -> bool:
        """Whether an answer is owed, either way, to somebody who still wants it."""
        return bool(self._theirs) or any(ours.wanted for ours in self._ours.values())

    @property
    def room(self) -> int:
        """How many more requests we may have in flight."""
        return REQUESTS_IN_FLIGHT_MAX - len(self._ours)

    def open(self, request: FrameRequest) -> FrameRequest:
        """The request with its number, to be sent; raises LocalProtocolError without room."""
        if self.room <= 0:
            raise LocalProtocolError("too many requests in flight to one peer")
        self._last += 1
        self._ours[self._last] = _InFlight.of(request)
        return msgspec.structs.replace(request, request=self._last)

    def cancel(self, number: int) -> Cancel | None:
        """What to send when an answer is no longer wanted; None if it has ended already."""
        ours = self._ours.get(number)
        if ours is None or not ours.wanted:
            return None
        ours.wanted = False
        return Cancel(number)

    def answer(self, number: int, response: FrameResponse) -> FrameResponse:
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

    def receive(self, frame: Frame) -> Event | None:
        """What a frame means; raises RemoteProtocolError when it breaks the rules.

        None for a cancel that crossed the end of its request, and for what is not known here.
        """
        if isinstance(frame, UnknownFrame):
            self._pass_over()
            return None
        if isinstance(frame, Wrong):
            self._pass_over()  # it asks nothing either
            return Reported(frame.cid)
        if isinstance(frame, UnknownRequest):
            return self._asked(frame)
        if isinstance(frame, Cancel) and frame.request not in self._theirs:
            return None
        self._unknown_in_a_row = 0  # by what is understood, and asks or answers something
        if isinstance(frame, FrameRequest):
            return self._asked(frame)
        if isinstance(frame, FrameResponse):
            return self._answered(frame)
        if isinstance(frame, Cancel):
            return Cancelled(frame.request)
        raise RemoteProtocolError(f"a {type(frame).__name__} after the handshake")

    def _pass_over(self) -> None:
        self._unknown_in_a_row += 1
        if self._unknown_in_a_row > UNKNOWN_FRAMES_MAX:
            raise RemoteProtocolError("too many frames in a row that ask nothing")

    def _asked(self, request: FrameRequest) -> Asked:
        if request.request in self._theirs:
            raise RemoteProtocolError(f"request {request.request} is in flight already")
        if len(self._theirs) >= REQUESTS_IN_FLIGHT_MAX:
            raise RemoteProtocolError("too many requests in flight")
        self._theirs[request.request] = _InFlight.of(request)
        return Asked(request)

    def _answered(self, response: FrameResponse) -> Answered:
        ours = self._ours.get(response.request)
        if ours is None:
            raise RemoteProtocolError("an answer to nothing we asked")
        try:
            final = ours.take(response)
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from error
        if final:
            del self._ours[response.request]
        progress = ours.brought_on_by(response)
        return Answered(response.request, response, final, ours.wanted, progress)
