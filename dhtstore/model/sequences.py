"""The numbers by which what is signed later counts as newer."""

from __future__ import annotations

from dhtstore.params import SEQUENCES_RESERVED


class Sequences:
    """Rising numbers: unix seconds while the clock is right, and never at or below one that was
    given before, whatever became of the clock.

    Numbers below ``reserved`` are used up in the eyes of the next start, so whoever writes that
    down now and then writes few times, and a crash gives no number twice.
    """

    __slots__ = ("_last", "reserved")

    def __init__(self) -> None:
        self._last = self.reserved = 0

    def next(self, now_unix_s: int) -> int:
        """One above all that were given."""
        self._last = max(self._last + 1, now_unix_s)
        return self._last

    def used(self, reserved: int) -> None:
        """An earlier life of the node may have given all up to there."""
        self._last = max(self._last, reserved)

    def reserve(self, now_unix_s: int) -> int | None:
        """The new ``reserved`` to write down; None while there are enough left."""
        ahead = max(self._last, now_unix_s)
        if ahead + SEQUENCES_RESERVED // 2 <= self.reserved:
            return None
        self.reserved = ahead + SEQUENCES_RESERVED
        return self.reserved

    def give_back(self) -> int:
        """``reserved`` for a node that stops in good order: what it did not use is free again."""
        self.reserved = self._last
        return self.reserved
