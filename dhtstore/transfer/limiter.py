"""How many bytes may move a second.  Pure.

A token bucket that may go into debt: who is let through pays for all its bytes, and the next
waits until the debt is paid.  So a portion larger than what a moment brings still moves, and the
mean is exact.
"""

from __future__ import annotations

from dhtstore.params import LIMIT_BURST_S


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
