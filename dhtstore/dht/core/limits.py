"""How often something may happen: a token bucket, refilled by the time that passes."""

from __future__ import annotations


class TokenBucket:
    """At most ``rate_per_s`` on average, ``burst`` at once."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s, self._burst = rate_per_s, burst
        self._tokens, self._updated_s = burst, 0.0

    def take(self, now: float) -> bool:
        """Take one token at ``now`` (monotonic seconds); False if there is none."""
        refilled = self._tokens + (now - self._updated_s) * self._rate_per_s
        self._tokens, self._updated_s = min(self._burst, refilled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
