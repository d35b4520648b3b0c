"""When what failed is tried again: pure, by names and monotonic seconds."""

from __future__ import annotations

import heapq
from math import inf

_AT_ONCE = -inf


class Retries:
    """Each name has its own pauses, which double from ``first_s`` to ``most_s`` until it is
    taken.  What ``soon`` names comes before what has failed longer ago, however much that is."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._pauses_s: dict[bytes, float] = {}
        self._numbers: dict[bytes, int] = {}  # of the entry that counts, of those of a name
        self._waiting: list[tuple[float, int, bytes]] = []  # a heap: due, number, name
        self._last = 0

    def count(self) -> int:
        """How many wait."""
        return len(self._numbers)

    def failed(self, name: bytes, now_s: float) -> None:
        pause_s = self._pauses_s.get(name, self._first_s)
        self._pauses_s[name] = min(2 * pause_s, self._most_s)
        self._push(name, now_s + pause_s)

    def soon(self, name: bytes) -> None:
        """It is due."""
        self._pauses_s.pop(name, None)
        self._push(name, _AT_ONCE)

    def done(self, name: bytes) -> None:
        """It was taken, or is not wanted any more."""
        self._pauses_s.pop(name, None)
        self._numbers.pop(name, None)

    def hurry(self, now_s: float) -> None:
        """All are due, as if they had just failed for the first time."""
        names = [name for _, number, name in sorted(self._waiting) if self._counts(number, name)]
        self._waiting.clear()
        self._pauses_s.clear()
        for name in names:
            self._push(name, now_s)

    def pop(self, now_s: float) -> bytes | None:
        """One that is due, which waits no more; None if none is."""
        if self.wait_s(now_s) > 0:
            return None
        _, _, name = heapq.heappop(self._waiting)
        del self._numbers[name]
        return name

    def wait_s(self, now_s: float) -> float:
        """Until the next is due; infinite if none waits."""
        while self._waiting and not self._counts(*self._waiting[0][1:]):
            heapq.heappop(self._waiting)
        return self._waiting[0][0] - now_s if self._waiting else inf

    def _counts(self, number: int, name: bytes) -> bool:
        return self._numbers.get(name) == number

    def _push(self, name: bytes, due_s: float) -> None:
        self._last += 1
        self._numbers[name] = self._last
        heapq.heappush(self._waiting, (due_s, self._last, name))
