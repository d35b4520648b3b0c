"""Those that a lookup knows of, and its waiting for those that it asked."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from enum import Enum
from typing import Final

from dhtstore.dht.core.peer import Peer

_FAILING_MAX: Final = 0.75  # share of those asked that is reckoned with


class State(Enum):
    FRESH = "not asked yet"
    ASKED = "asked, in time"
    LATE = "asked, slower than expected: maybe what it was sent or sent was lost"
    OVERDUE = "asked, and not waited for any more, though its answer would count"
    ANSWERED = "answered"
    DEAD = "failed"


class LookupCandidate:
    """Whom a lookup may ask; ``due_s`` is when it is late (monotonic seconds)."""

    __slots__ = ("distance", "due_s", "peer", "relied", "state")

    def __init__(self, peer: Peer, distance: int) -> None:
        self.peer, self.distance = peer, distance
        self.state, self.due_s = State.FRESH, 0.0
        self.relied: bool | None = None  # until it matters

    def __lt__(self, other: LookupCandidate) -> bool:
        return self.distance < other.distance


class Waits:
    """Who was asked and has not answered.  Late ones give up their slots and are waited for
    ``patience_s`` more; 0 where hardly any datagram gets lost, so that they are as good as dead."""

    __slots__ = ("_failures", "_patience_s", "_timeout_of", "answers", "in_time", "late")

    def __init__(self, timeout_of: Callable[[Peer], float], patience_s: float) -> None:
        self._timeout_of, self._patience_s = timeout_of, patience_s
        self.in_time: list[LookupCandidate] = []  # both in the order in which they are due
        self.late: list[LookupCandidate] = []
        self.answers = self._failures = 0  # of those that are late, as long as they are

    def begin(self, candidate: LookupCandidate, now: float) -> None:
        """It is asked now."""
        candidate.state = State.ASKED
        candidate.due_s = now + self._timeout_of(candidate.peer)
        insort(self.in_time, candidate, key=_due_s)

    def end(self, candidate: LookupCandidate, state: State) -> None:
        """It answered or failed."""
        was, answered = candidate.state, state is State.ANSWERED
        if was is State.ASKED:
            self.in_time.remove(candidate)
            self._failures += not answered
        else:
            self._failures -= answered
            if was is State.LATE:
                self.late.remove(candidate)
        self.answers += answered
        candidate.state = state

    def failures_among(self, count: int) -> int:
        """How many to ask beyond ``count`` so that so many answer, if as many fail as before."""
        if not self._failures or not self.answers:  # where nobody answers, it is our own line
            return 0
        failing = min(_FAILING_MAX, self._failures / (self._failures + self.answers))
        return math.ceil(count * failing / (1 - failing))

    def pass_time(self, now: float) -> int:
        """How many are late from now on; of those that were, some are waited for no more."""
        # Written as in wake_at: rounding must not make a caller wake too early for ever.
        count = len(self.late)
        while self.in_time and now >= self.in_time[0].due_s:
            candidate = self.in_time.pop(0)
            candidate.state = State.LATE
            self.late.append(candidate)
        count = len(self.late) - count
        self._failures += count
        while self.late and now >= self.late[0].due_s + self._patience_s:
            self.late.pop(0).state = State.OVERDUE
        return count

    def wake_at(self) -> float | None:
        """When to let time pass; None if there is nobody to wait for."""
        if not self.late:
            return self.in_time[0].due_s if self.in_time else None
        overdue_s = self.late[0].due_s + self._patience_s
        return min(overdue_s, self.in_time[0].due_s) if self.in_time else overdue_s


def _due_s(candidate: LookupCandidate) -> float:
    return candidate.due_s
