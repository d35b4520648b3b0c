"""What of an answer has come before all of it is there.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.params import HEDGE_DELAY_MIN_S, RATE_MIN_BYTES_PER_S


@dataclass(slots=True)
class UnderWay:
    """A body that is on its way: ``received`` tells how much of it is here.  Some of it is a sign
    of life, a trickle below RATE_MIN_BYTES_PER_S is none."""

    sequences: frozenset[int]
    size_bytes: int
    begun_s: float
    received: Callable[[], int]
    _noted_bytes: int = 0

    def lives(self, heard_s: float, now: float) -> bool:
        """Whether more came since ``heard_s``, when it was looked at last, than a trickle."""
        received_bytes = self.received()
        more_bytes = received_bytes - self._noted_bytes
        if not more_bytes or more_bytes < RATE_MIN_BYTES_PER_S * (now - heard_s):
            return False
        self._noted_bytes = received_bytes
        return True

    def ends_s(self, now: float) -> float | None:
        """When all of it will be here if it goes on as since its begin; None where it has just
        begun."""
        lasted_s = now - self.begun_s
        if lasted_s < HEDGE_DELAY_MIN_S:
            return None
        received_bytes = self.received()
        rest_bytes = self.size_bytes - received_bytes
        return now + lasted_s * rest_bytes / received_bytes if received_bytes else float("inf")
