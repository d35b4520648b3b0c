"""How long to wait for an answer."""

from __future__ import annotations

from array import array
from typing import Final

from dhtstore.params import (
    RPC_INITIAL_TIMEOUT_S,
    RPC_RETRANSMIT_MIN_S,
    RPC_TIMEOUT_MAX_S,
    RPC_TIMEOUT_MIN_S,
)

_SAMPLES_MAX: Final = 32
_QUANTILE: Final = 0.95
_MARGIN: Final = 1.15  # measured: p95 x 1.1 to 1.15 gives the best lookups under loss
_RECOMPUTE_EVERY: Final = 8
_LOST_WEIGHT: Final = 1 / 64  # of one answer: three lookups
_LOST_MIN: Final = 0.005  # of the requests: the share of the k closest that may be missed
_LOST_MANY: Final = 0.05  # four of the last: what no good line does
_FIRST_FACTOR: Final = 3  # RFC 6298 section 2.2: SRTT + 4 x RTT/2 after the first sample


class RttEstimate:
    """What peers we have no history with need: a high quantile of the RTTs measured lately; and how
    many of those that do answer have to be asked twice."""

    __slots__ = ("_count", "_lost_share", "_samples", "timeout_s")

    def __init__(self) -> None:
        self._samples = array("f")
        self._count, self._lost_share = 0, 0.0
        self.timeout_s: float = RPC_INITIAL_TIMEOUT_S

    def add(self, rtt_s: float) -> None:
        """Count one round trip of a request that was sent once (Karn's rule)."""
        if len(self._samples) < _SAMPLES_MAX:
            self._samples.append(rtt_s)
        else:
            self._samples[self._count % _SAMPLES_MAX] = rtt_s
        self._count += 1
        if self._count < _RECOMPUTE_EVERY:
            self.timeout_s = clamp(_FIRST_FACTOR * max(self._samples))
        elif self._count % _RECOMPUTE_EVERY == 0:
            ranked = sorted(self._samples)
            self.timeout_s = clamp(ranked[int(_QUANTILE * (len(ranked) - 1))] * _MARGIN)

    def answered(self, took_s: float, *, once: bool, lost: bool) -> float | None:
        """Somebody answered so long after it was asked: ``once``, or again since something was
        ``lost``, or for another reason.  Returns the round trip, if that shows it."""
        self._lost_share += (lost - self._lost_share) * _LOST_WEIGHT
        rtt_s = round_trip_s(took_s, once=once)
        if rtt_s is not None:
            self.add(rtt_s)
        return rtt_s

    def was_late(self, took_s: float) -> None:
        """What seemed lost when it was answered was not: the first sending took so long."""
        self._lost_share = max(0.0, self._lost_share - _LOST_WEIGHT)
        self.add(took_s)

    @property
    def much_lost(self) -> bool:
        """Whether many of those who answered lately had to be asked twice."""
        return self._lost_share > _LOST_MANY

    @property
    def patience_s(self) -> float:
        """How much longer than ``timeout_s`` a peer is worth waiting for that may be alive: as long
        as the answer to its retransmission takes; 0 where hardly anything was lost lately, so that
        who is late is dead."""
        return self.timeout_s if self._lost_share > _LOST_MIN else 0.0


def round_trip_s(took_s: float, *, once: bool) -> float | None:
    """What an answer shows so long after its request, if that was sent ``once``."""
    # Nobody waits longer: the machine slept, or stood still.
    return took_s if once and took_s <= RPC_TIMEOUT_MAX_S else None


def retransmission_timeout_s(srtt_s: float, rttvar_s: float) -> float:
    """RFC 6298 section 2.3, clamped."""
    return clamp(srtt_s + 4 * rttvar_s)


def last_wait_s(timeout_s: float) -> float:
    """How long a peer that needed retransmission, or gets none, is waited for: long enough that
    only the dead fail, since lookups do not wait for it."""
    return _between(RPC_TIMEOUT_MIN_S, _FIRST_FACTOR * timeout_s, RPC_TIMEOUT_MAX_S)


def clamp(timeout_s: float) -> float:
    return _between(RPC_RETRANSMIT_MIN_S, timeout_s, RPC_TIMEOUT_MAX_S)


def _between(least: float, value: float, most: float) -> float:
    """Without ``min`` and ``max``, which take longer, since every request asks."""
    if value < least:
        return least
    if value > most:
        return most
    return value
