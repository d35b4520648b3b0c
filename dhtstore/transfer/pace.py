"""How long an exchange may take: what is delivered buys time, and nothing else does.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.params import (
    LINK_RATE_HALF_LIFE_S,
    PACED_BLOCK_BYTES,
    RATE_MIN_BYTES_PER_S,
    RECEIVE_FAIR_BYTES_PER_S,
    VERIFY_RATE_MIN_BYTES_PER_S,
)


class Pace:
    """``ends_s`` is when to give the other side up, on whatever scale ``now`` is.

    It may be silent for ``silence_s``, and over the whole exchange it must have delivered
    RATE_MIN_BYTES_PER_S beside that one silence.  Who is owed ``size_bytes`` and counts no more
    than that as delivered so waits at most ``silence_s + size_bytes / RATE_MIN_BYTES_PER_S``.
    """

    __slots__ = ("_begun_s", "_last_s", "_silence_s", "delivered_bytes", "ends_s")

    def __init__(self, now: float, silence_s: float) -> None:
        self._begun_s, self._silence_s = now, silence_s
        self.delivered_bytes = 0
        self._last_s = now
        self.ends_s = now + silence_s

    def delivered(self, more_bytes: int, now: float) -> None:
        """So many bytes that were owed have come; 0 changes nothing."""
        if more_bytes > 0:
            self.delivered_bytes, self._last_s = self.delivered_bytes + more_bytes, now
            earned_s = self.delivered_bytes / RATE_MIN_BYTES_PER_S
            self.ends_s = min(now, self._begun_s + earned_s) + self._silence_s

    def waited(self, lasted_s: float) -> None:
        """For so long it was this side that waited: nothing of that is the other's."""
        self._begun_s += lasted_s
        self.ends_s += lasted_s
        self._last_s += lasted_s

    @property
    def stalls(self) -> bool:
        """Whether it ends because nothing came at last, and not because all was too slow."""
        return self.ends_s >= self._last_s + self._silence_s


class Rate:
    """Bytes that came lately: those of LINK_RATE_HALF_LIFE_S ago count half."""

    __slots__ = ("_at_s", "_bytes")

    def __init__(self, now: float) -> None:
        self._bytes, self._at_s = 0.0, now

    def add(self, more_bytes: int, now: float) -> None:
        self._bytes, self._at_s = self.lately(now) + more_bytes, now

    def lately(self, now: float) -> float:
        return float(self._bytes * 0.5 ** ((now - self._at_s) / LINK_RATE_HALF_LIFE_S))


class CopyCredit:
    """What a holder's word of how much it holds is worth to a ``Pace``, in delivered bytes.

    What was sent counts in full, by ``sent_bytes``.  The rest it may
    have had before and only reads again, at VERIFY_RATE_MIN_BYTES_PER_S at least: a byte of that
    buys no more time than it takes so.  Beyond ``size_bytes`` nothing counts.  Each of ``blocks``
    counts as PACED_BLOCK_BYTES more: a small one costs as much as its bytes.  A holder that is
    ``relayed`` to may have the rest from another, which is slower than to read it.
    """

    __slots__ = ("_credited_bytes", "_rest_bytes_per_s", "_scale", "_sent_bytes", "_size_bytes")

    def __init__(
        self,
        size_bytes: int,
        sent_bytes: Callable[[], int],
        blocks: int = 0,
        *,
        relayed: bool = False,
    ) -> None:
        self._size_bytes, self._sent_bytes = size_bytes, sent_bytes
        self._scale = 1 + blocks * PACED_BLOCK_BYTES / max(size_bytes, 1)
        self._rest_bytes_per_s = (
            RECEIVE_FAIR_BYTES_PER_S if relayed else VERIFY_RATE_MIN_BYTES_PER_S
        )
        self._credited_bytes = 0

    def of(self, held_bytes: int) -> int:
        """How much more has been delivered than was counted before."""
        held_bytes = min(held_bytes, self._size_bytes)
        sent_bytes = min(held_bytes, self._sent_bytes())
        had_bytes = held_bytes - sent_bytes
        worth = sent_bytes + had_bytes * RATE_MIN_BYTES_PER_S // self._rest_bytes_per_s
        more_bytes = max(0, int(worth * self._scale) - self._credited_bytes)
        self._credited_bytes += more_bytes
        return more_bytes
