"""How long an exchange may take: what is delivered buys time, and nothing else does.  Pure."""

from __future__ import annotations

from dhtstore.params import RATE_MIN_BYTES_PER_S


class Pace:
    """``ends_s`` is when to give the other side up, on whatever scale ``now`` is.

    It may be silent for ``silence_s``, and over the whole exchange it must have delivered
    RATE_MIN_BYTES_PER_S beside that one silence.  Who is owed ``size_bytes`` and counts no more
    than that as delivered so waits at most ``silence_s + size_bytes / RATE_MIN_BYTES_PER_S``.
    """

    __slots__ = ("_begun_s", "_silence_s", "delivered_bytes", "ends_s")

    def __init__(self, now: float, silence_s: float) -> None:
        self._begun_s, self._silence_s = now, silence_s
        self.delivered_bytes = 0
        self.ends_s = now + silence_s

    def delivered(self, more_bytes: int, now: float) -> None:
        """So many bytes that were owed have come; 0 changes nothing."""
        if more_bytes > 0:
            self.delivered_bytes += more_bytes
            earned_s = self.delivered_bytes / RATE_MIN_BYTES_PER_S
            self.ends_s = min(now, self._begun_s + earned_s) + self._silence_s
