"""A bound on the blocks that are read for peers and have not left yet."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from dhtstore.params import SERVED_PARKED_BYTES, SERVED_READS_MAX, SERVED_STALL_S


class Reader(Protocol):
    """As much of a link as matters here."""

    @property
    def origin(self) -> str: ...

    @property
    def stalled_s(self) -> float: ...

    def abandon(self, why: str = ...) -> None: ...


class Share:
    """Room for one read of ``size_bytes``, from when it is entered until it was left and each frame
    that was made of the read has left too, or never will."""

    __slots__ = ("_give_back", "_holders", "ended", "reader", "size_bytes")

    def __init__(self, reader: Reader, give_back: Callable[[Share], None]) -> None:
        self.reader, self.size_bytes, self.ended = reader, 0, False
        self._give_back, self._holders = give_back, 0

    def __enter__(self) -> Share:
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def hold(self) -> None:
        """Keep it until one more ``release``."""
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._give_back(self)


class ReadRoom:
    """Memory for SERVED_READS_MAX reads.  Origins that wait for one take turns, whoever came first
    and however many of each there are.

    While somebody waits, reads whose peer takes nothing are *parked*: they keep their memory and
    give up their place, so that slow lines cost nobody a turn.  Where more than SERVED_PARKED_BYTES
    are parked, the peer that takes nothing the longest loses its link, of the origin with most.
    """

    def __init__(self) -> None:
        self._free = SERVED_READS_MAX
        self._active: dict[Share, None] = {}
        self._parked: dict[Share, None] = {}
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._look: asyncio.TimerHandle | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._turns)

    async def take(self, reader: Reader) -> Share:
        """Room for one read, when there is some; to be entered at once."""
        if self._free:
            self._free -= 1
        else:
            await self._turn_of(reader.origin)
        share = Share(reader, self._give_back)
        self._active[share] = None
        return share

    def _give_back(self, share: Share) -> None:
        if share in self._parked:
            del self._parked[share]
        else:
            del self._active[share]
            self._pass_on()

    # --- turns ------------------------------------------------------------------------------

    async def _turn_of(self, origin: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(origin, deque()).append(turn)
        self._look_later()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waits_no_more(origin, turn)
            else:
                self._pass_on()  # it had been given the room already
            raise

    def _pass_on(self) -> None:
        """A read has left: its room is for the next origin, which then waits behind all others."""
        while self._turns:
            origin, waiting = next(iter(self._turns.items()))
            turn = waiting[0]
            self._turns.move_to_end(origin)
            self._waits_no_more(origin, turn)
            if not turn.done():  # else it was cancelled, and does not know yet
                turn.set_result(None)
                return
        self._free += 1

    def _waits_no_more(self, origin: str, turn: asyncio.Future[None]) -> None:
        waiting = self._turns.get(origin, deque())
        if turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._turns[origin]

    # --- those that keep others waiting -----------------------------------------------------

    def _look_later(self) -> None:
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(SERVED_STALL_S, self._look_at_readers)

    def _look_at_readers(self) -> None:
        self._look = None
        stalled = [each for each in self._active if each.reader.stalled_s >= SERVED_STALL_S]
        for share in stalled if self._turns else ():
            del self._active[share]
            self._parked[share] = None
            self._pass_on()
        self._end_longest_parked()
        if self._turns:
            self._look_later()

    def _end_longest_parked(self) -> None:
        parked = [share for share in self._parked if not share.ended]
        excess_bytes = sum(share.size_bytes for share in parked) - SERVED_PARKED_BYTES
        while excess_bytes > 0:
            crowd = Counter[str]()
            for share in parked:
                crowd[share.reader.origin] += share.size_bytes
            most = crowd.most_common(1)[0][0]
            those = [share for share in parked if share.reader.origin == most]
            longest = max(those, key=lambda share: share.reader.stalled_s).reader
            for share in [share for share in parked if share.reader is longest]:
                share.ended = True  # it may hold its memory until its writer has ended, too
                parked.remove(share)
                excess_bytes -= share.size_bytes
            longest.abandon("the peer reads nothing while others wait")
