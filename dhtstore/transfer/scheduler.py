"""Pull scheduling over many holders: who is asked for which block next.  Pure.

Wants are asked for in order.  Each holder has a window of unanswered bytes that starts small and
grows while its answers come within WINDOW_DELAY_S of its best one, so a slow holder holds few
blocks (delay-based control, as TCP Vegas, Brakmo & Peterson 1995).  When nothing is left to ask
for, an idle holder is asked once more for what another has owed for long.  A holder that fails
gives its wants back; one that sends wrong bytes is banned.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from dhtstore.params import (
    HEDGE_DELAY_MIN_S,
    WANTS_PER_REQUEST_MAX,
    WINDOW_BYTES,
    WINDOW_DELAY_S,
    WINDOW_START_BYTES,
)

S = TypeVar("S", bound=Hashable)

ASKS_PER_WINDOW: Final = 4  # a request costs as much as a block: few large ones, yet pipelined
ASKERS_MAX: Final = 2  # holders that owe one want at a time
CLOCK_GRAIN_S: Final = 1e-6  # a timer may end this much before its time, by rounding
SKIPS_MAX: Final = 256  # wants a holder lacks that are passed over in one search


@dataclass(frozen=True, slots=True)
class Ask(Generic[S]):
    """Ask ``holder`` for the wants with these sequence numbers, in this order."""

    holder: S
    wants: tuple[int, ...]


@dataclass(slots=True)
class _Wanted(Generic[S]):
    sequence: int
    unit: bytes
    size_bytes: int
    asked: dict[S, float] = field(default_factory=dict)  # holder -> when
    lacking: dict[S, str] = field(default_factory=dict)  # holder -> why it can't give it
    queued: bool = True


@dataclass(slots=True)
class _Holder(Generic[S]):
    name: S
    units: dict[bytes, None]
    window_bytes: float = WINDOW_START_BYTES
    owed_bytes: int = 0
    best_s: float = float("inf")
    usual_s: float = HEDGE_DELAY_MIN_S

    @property
    def ask_bytes(self) -> float:
        """What one request asks for, or one block."""
        return max(WINDOW_START_BYTES, self.window_bytes / ASKS_PER_WINDOW)

    @property
    def has_room(self) -> bool:
        """Room for a whole request; a holder that owes nothing may always be asked."""
        return self.owed_bytes == 0 or self.owed_bytes + self.ask_bytes <= self.window_bytes

    def answered(self, size_bytes: int, took_s: float) -> None:
        """Adapt: grow by what arrived in time, else shrink towards what fits the delay."""
        self.best_s = min(self.best_s, took_s)
        self.usual_s += (took_s - self.usual_s) / 8
        aim_s = self.best_s + WINDOW_DELAY_S
        if took_s <= aim_s:
            self.window_bytes = min(WINDOW_BYTES, self.window_bytes + size_bytes)
        else:
            shrunk = self.window_bytes * max(0.5, aim_s / took_s)
            self.window_bytes = max(WINDOW_START_BYTES, shrunk)


class Scheduler(Generic[S]):
    """Wants and holders of one fetch.  Every method takes ``now`` in seconds where time counts."""

    def __init__(self) -> None:
        self._wants: dict[int, _Wanted[S]] = {}
        # unit -> heap of sequences that nobody owes; finished ones are passed over when met
        self._pending: dict[bytes, list[int]] = {}
        self._doubtful: dict[int, None] = {}  # sequences that some holder lacks
        self._holders: dict[S, _Holder[S]] = {}
        self._failed: dict[S, str] = {}

    # --- what is wanted, and who may have it ------------------------------------------------

    def want(self, sequence: int, unit: bytes, size_bytes: int) -> None:
        """Add a want; ``unit`` tells which holders hold it."""
        self._wants[sequence] = _Wanted(sequence, unit, size_bytes)
        heappush(self._pending.setdefault(unit, []), sequence)

    def add_holder(self, holder: S, unit: bytes) -> None:
        """Somebody holds ``unit``, or says so; one that failed is forgiven."""
        known = self._holders.setdefault(holder, _Holder(holder, {}))
        known.units[unit] = None

    @property
    def unfinished(self) -> int:
        return len(self._wants)

    # --- whom to ask ------------------------------------------------------------------------

    def next(self, now: float) -> list[Ask[S]]:
        """Requests to send now, holders in turn, so that none takes all the work."""
        asks: list[Ask[S]] = []
        open_holders = list(self._holders.values())
        while open_holders:
            open_holders = [s for s in open_holders if self._ask(s, now, asks)]
        return asks

    def hedge_due_s(self, now: float) -> float | None:
        """Seconds until ``next`` might ask a second holder for an overdue want; None if no
        holder is idle or nothing is owed."""
        dues = [
            at + self._overdue_s(holder) - now
            for holder in self._holders.values()
            if holder.owed_bytes == 0
            for want, at in self._hedgeable(holder)
        ]
        return max(0.0, min(dues)) if dues else None

    def _ask(self, holder: _Holder[S], now: float, asks: list[Ask[S]]) -> bool:
        wants = self._pick(holder) or self._pick_overdue(holder, now)
        if wants:
            for want in wants:
                want.asked[holder.name] = now
                holder.owed_bytes += want.size_bytes
            asks.append(Ask(holder.name, tuple(want.sequence for want in wants)))
        return bool(wants)

    def _pick(self, holder: _Holder[S]) -> list[_Wanted[S]]:
        """The first pending wants this holder may have: one request's worth."""
        picked: list[_Wanted[S]] = []
        total = 0
        for unit in holder.units if holder.has_room else ():
            heap = self._pending.get(unit, [])
            skipped: list[int] = []
            while len(picked) < WANTS_PER_REQUEST_MAX and len(skipped) < SKIPS_MAX:
                want = self._first(heap)
                if want is None or (picked and total + want.size_bytes > holder.ask_bytes):
                    break
                heappop(heap)
                if holder.name in want.lacking:
                    skipped.append(want.sequence)
                    continue
                want.queued = False
                picked.append(want)
                total += want.size_bytes
            for sequence in skipped:
                heappush(heap, sequence)
        return picked

    def _first(self, heap: list[int]) -> _Wanted[S] | None:
        """The first want of a heap that is not finished."""
        while heap:
            want = self._wants.get(heap[0])
            if want is not None:
                return want
            heappop(heap)
        return None

    def _pick_overdue(self, holder: _Holder[S], now: float) -> list[_Wanted[S]]:
        """The want that another holder has owed the longest, if this one is idle and it is
        overdue by this one's own measure."""
        if holder.owed_bytes:
            return []
        oldest = min(self._hedgeable(holder), key=lambda pair: pair[1], default=None)
        if oldest is None or oldest[1] + self._overdue_s(holder) > now + CLOCK_GRAIN_S:
            return []
        return [oldest[0]]

    def _hedgeable(self, holder: _Holder[S]) -> list[tuple[_Wanted[S], float]]:
        return [
            (want, min(want.asked.values()))
            for want in self._wants.values()
            if 0 < len(want.asked) < ASKERS_MAX
            and want.unit in holder.units
            and holder.name not in want.asked
            and holder.name not in want.lacking
        ]

    @staticmethod
    def _overdue_s(holder: _Holder[S]) -> float:
        return max(float(HEDGE_DELAY_MIN_S), 2 * holder.usual_s)

    # --- what came of it --------------------------------------------------------------------

    def arrived(self, holder: S, sequence: int, size_bytes: int, now: float) -> bool:
        """Bytes came from a holder, not verified yet.  False if they are no longer wanted."""
        want = self._wants.get(sequence)
        if want is None or holder not in want.asked:
            return False
        asked_at = want.asked[holder]
        self._settle(want, holder)
        if holder in self._holders:
            self._holders[holder].answered(size_bytes, now - asked_at)
        return True

    def finish(self, sequence: int) -> bool:
        """The want is fulfilled; what others still owe of it is waste.  False if it was before."""
        want = self._wants.pop(sequence, None)
        if want is None:
            return False
        for holder in want.asked:
            self._holders[holder].owed_bytes -= want.size_bytes
        self._doubtful.pop(sequence, None)
        return True

    def lacks(self, holder: S, sequence: int, why: str) -> None:
        """The holder does not give this one."""
        want = self._wants.get(sequence)
        if want is not None:
            want.lacking[holder] = why
            self._doubtful[sequence] = None
            if holder in want.asked:
                self._settle(want, holder)
                self._requeue(want)

    def fail(self, holder: S, why: str) -> None:
        """The holder is gone or not to be trusted: all it owes goes to others."""
        self._failed[holder] = why
        if self._holders.pop(holder, None) is None:
            return
        for want in self._wants.values():
            if holder in want.asked:
                del want.asked[holder]
                self._requeue(want)

    def retry(self, sequence: int) -> None:
        """What arrived was lost on our side or was wrong: ask again."""
        want = self._wants.get(sequence)
        if want is not None:
            self._requeue(want)

    def stuck(self) -> list[int]:
        """For each unit with wants that no holder is left for, one of them: nobody owes it, and
        every holder of its unit lacks it or has failed."""
        found: dict[bytes, int] = {}
        for sequence in self._doubtful:
            want = self._wants[sequence]
            if want.queued and all(name in want.lacking for name in self._names(want.unit)):
                found.setdefault(want.unit, sequence)
        for unit, heap in self._pending.items():
            first = None if self._names(unit) else self._first(heap)
            if first is not None:
                found.setdefault(unit, first.sequence)
        return list(found.values())

    def _names(self, unit: bytes) -> list[S]:
        return [holder.name for holder in self._holders.values() if unit in holder.units]

    def causes(self, sequence: int) -> dict[S, str]:
        """Why each holder did not give this want."""
        want = self._wants[sequence]
        return {**self._failed, **want.lacking}

    def _settle(self, want: _Wanted[S], holder: S) -> None:
        del want.asked[holder]
        if holder in self._holders:
            self._holders[holder].owed_bytes -= want.size_bytes

    def _requeue(self, want: _Wanted[S]) -> None:
        if not want.asked and not want.queued:
            want.queued = True
            heappush(self._pending[want.unit], want.sequence)
