"""The numbers by which what is signed later counts as newer."""

from __future__ import annotations

from dhtstore.params import SEQUENCES_RESERVED


class Sequences:
    """Rising numbers: unix seconds while the clock is right, and never at or below one that was
    given before, whatever became of the clock.

    Numbers up to ``reserved``, which is what was written down, are used up in the eyes of the next
    start: so whoever writes now and then writes seldom, and a crash gives no number twice.
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
        """What to write down as ``reserved``; None while there are enough left."""
        ahead = max(self._last, now_unix_s)
        enough = ahead + SEQUENCES_RESERVED // 2 <= self.reserved
        return None if enough else ahead + SEQUENCES_RESERVED

    @property
    def last(self) -> int:
        """The highest that was given: for one that stops, all above are free again."""
        return self._last
