"""When which part of the key space is announced again: pure, by monotonic seconds.

The keys that are announced are swept in their order, and a cycle spreads over the interval: each
part, the keys of one first byte, has its time in it, from a beginning that each node draws.  So
what was announced in a burst, after a start, is spread by the next cycle, and how far all of it is
fits a row of the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from dhtstore.params import REPROVIDE_INTERVAL_S, REPROVIDE_JITTER

PARTS: Final = 256
CYCLE_S: Final = REPROVIDE_INTERVAL_S / (1 + REPROVIDE_JITTER)
AHEAD_S: Final = REPROVIDE_INTERVAL_S - CYCLE_S  # so much before its time a part may be announced
_TIME_BYTES: Final = 4


class CycleProgress:
    """``begin_s`` is when some cycle begins."""

    __slots__ = ("_begin_s", "_told_s")

    def __init__(self, begin_s: float = 0.0) -> None:
        self._begin_s = begin_s
        self._told_s: dict[int, float] = {}

    def told(self, part: int, now: float) -> None:
        """All keys of a part were announced, from ``now`` on."""
        self._told_s[part] = now

    def new(self, parts: Iterable[int], since_s: float) -> None:
        """Keys of these are new, and were announced when they came to be, which was since then."""
        for part in parts:
            self._told_s.setdefault(part, since_s)

    def forget(self) -> None:
        """All are due."""
        self._told_s.clear()

    def due_s(self, part: int) -> float:
        """When a part is due: at its time in the cycle, the last before REPROVIDE_INTERVAL_S have
        passed."""
        told_s = self._told_s.get(part)
        if told_s is None:
            return -math.inf
        at_s = self._begin_s + CYCLE_S * part / PARTS
        return at_s + CYCLE_S * math.floor((told_s + REPROVIDE_INTERVAL_S - at_s) / CYCLE_S)

    def told_s(self, part: int) -> float | None:
        """When it was announced last; None if it never was."""
        return self._told_s.get(part)

    def packed(self, ahead_s: float) -> bytes:
        """To be written down, by a clock that is so much ahead of the monotonic one."""
        times = (int(max(0.0, self._told_s.get(part, -ahead_s) + ahead_s)) for part in range(PARTS))
        return b"".join(min(each, 2**32 - 1).to_bytes(_TIME_BYTES, "big") for each in times)

    def restore(self, packed: bytes, ahead_s: float, now: float) -> None:
        """What ``packed`` gave, in this life or an earlier one; what is of the future or damaged
        counts for nothing."""
        if len(packed) != PARTS * _TIME_BYTES:
            return
        for part in range(PARTS):
            at = part * _TIME_BYTES
            unix_s = int.from_bytes(packed[at : at + _TIME_BYTES], "big")
            if unix_s and unix_s - ahead_s <= now:
                self._told_s[part] = unix_s - ahead_s


def part_of(key: bytes) -> int:
    """The part that a key is in."""
    return key[0]
