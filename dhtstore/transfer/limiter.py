"""How many bytes may move a second, and whose are next.  Pure.

A token bucket that may go into debt: who is let through pays for all its bytes, and the next
waits until the debt is paid.  So a portion larger than what a moment brings still moves, and the
mean is exact.  Whose turn it is follows start-time fair queueing (Goyal, Vin & Cheng 1996): each
key has a virtual time that its bytes move on, and the one that is furthest behind is next.
Those of the background cost BACKGROUND_WEIGHT times as much: they hardly move while others do,
but they move, so that whoever gives them sees no stall.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from dhtstore.params import BACKGROUND_WEIGHT, LIMIT_BURST_S
from dhtstore.transfer.priority import Priority

W = TypeVar("W")
_Key = tuple[Hashable, Priority]


class RateBucket:
    """``bytes_per_s`` in the mean; after a pause at most LIMIT_BURST_S of it at once."""

    __slots__ = ("_at_s", "_level_bytes", "bytes_per_s")

    def __init__(self, bytes_per_s: float, now: float) -> None:
        self.bytes_per_s, self._at_s, self._level_bytes = bytes_per_s, now, 0.0

    def retune(self, bytes_per_s: float, now: float) -> None:
        """Another rate from now on; a debt made at a higher one is not paid at a lower."""
        self._refill(now)
        self.bytes_per_s = bytes_per_s
        burst_bytes = bytes_per_s * LIMIT_BURST_S
        self._level_bytes = min(max(self._level_bytes, -burst_bytes), burst_bytes)

    def charge(self, count: float, now: float) -> None:
        """So many bytes move; less than 0 gives back."""
        self._refill(now)
        self._level_bytes -= count

    def wait_s(self, now: float) -> float:
        """Until the next bytes may move."""
        self._refill(now)
        if self._level_bytes > -1:  # less than a byte is rounding: no timer is so exact
            return 0.0
        return -self._level_bytes / self.bytes_per_s

    def _refill(self, now: float) -> None:
        earned = max(0.0, now - self._at_s) * self.bytes_per_s
        self._level_bytes = min(self._level_bytes + earned, self.bytes_per_s * LIMIT_BURST_S)
        self._at_s = now


class FairQueue(Generic[W]):
    """Who waits, by key: whatever one key asks for, each gets as many bytes as another."""

    def __init__(self) -> None:
        self._waiting: dict[_Key, deque[tuple[W, int]]] = {}
        self._due: dict[_Key, float] = {}  # virtual times; of keys that wait, or came lately
        self._virtual = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def join(self, who: W, key: Hashable, size_bytes: int, priority: Priority) -> None:
        mine = (key, priority)
        if mine not in self._waiting:
            self._waiting[mine] = deque()
            self._due[mine] = max(self._virtual, self._due.get(mine, 0.0))
        self._waiting[mine].append((who, size_bytes))

    def leave(self, who: W) -> None:
        """It waits no more."""
        for key, waiting in self._waiting.items():
            kept = deque(each for each in waiting if each[0] is not who)
            if len(kept) < len(waiting):
                self._keep(key, kept)
                return

    def next(self) -> tuple[W, int]:
        """Whose turn it is, and how many bytes it wants; raises ValueError if nobody waits."""
        key = min(self._waiting, key=self._due.__getitem__)
        self._virtual = self._due[key]
        waiting = self._waiting[key]
        who, size_bytes = waiting.popleft()
        weight = BACKGROUND_WEIGHT if key[1] is Priority.BACKGROUND else 1
        self._due[key] += size_bytes * weight
        self._keep(key, waiting)
        return who, size_bytes

    def _keep(self, key: _Key, waiting: deque[tuple[W, int]]) -> None:
        self._waiting[key] = waiting
        if not waiting:
            del self._waiting[key]
            for past in [k for k, due in self._due.items() if due <= self._virtual]:
                if past not in self._waiting:  # nothing is left to remember of it
                    del self._due[past]
