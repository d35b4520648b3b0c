"""How much a TCP sender lets be on its way: CUBIC (RFC 9438) and a model of BBR.

Pure: told of acknowledgements and losses, with the time.  Windows are bytes.

CUBIC shrinks by 0.3 at each loss: where one packet in 1/p is lost and a round trip takes R, it
carries about MSS / R * sqrt(1.5 / p) (Mathis et al. 1997) or MSS * 1.054 / (R^0.25 * p^0.75) (RFC
8312 section 5.1), whichever is more.  BBR keeps twice what the path has carried in a round trip on
its way (Cardwell et al. 2016), and passes over losses of less than a fifth of a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

SEGMENT_BYTES = 1460
INITIAL_BYTES = 10 * SEGMENT_BYTES  # RFC 6928
_LEAST_BYTES = 2.0 * SEGMENT_BYTES  # RFC 5681 section 3.1
_C, _BETA = 0.4, 0.7  # RFC 9438 sections 5 and 4.6
_ALPHA = 3 * (1 - _BETA) / (1 + _BETA)  # RFC 9438 section 4.3
_GAIN = 2.0  # of BBR's window over what is on the path
_FULL_ROUNDS, _FULL_GROWTH = 3, 1.25  # BBR has filled the pipe when three rounds grow by less
_RATE_ROUNDS = 10  # whose best rate counts
_LOSS_THRESHOLD = 0.2  # what BBR's gain of 1.25 makes up for


class Congestion(Protocol):
    window_bytes: float

    def acked(self, now_s: float, rtt_s: float, size_bytes: int, *, limited: bool) -> None:
        """So much has arrived, ``rtt_s`` after it was sent; ``limited`` if the window was full."""

    def lost(self, now_s: float, size_bytes: int, *, first: bool) -> None:
        """So much was lost; ``first`` of what was on its way together."""

    def idle(self) -> None:
        """Nothing was sent for longer than a time-out."""


class Cubic:
    def __init__(self) -> None:
        self.window_bytes = float(INITIAL_BYTES)
        self._threshold_bytes = math.inf
        self._most = 0.0  # the window, in segments, when the last loss was seen
        self._before = 0.0
        self._epoch_s: float | None = None
        self._k_s = self._reno = 0.0

    def acked(self, now_s: float, rtt_s: float, size_bytes: int, *, limited: bool) -> None:
        if not limited:
            return
        if self.window_bytes < self._threshold_bytes:
            self.window_bytes += size_bytes
        else:
            self._avoid(now_s, rtt_s, size_bytes / SEGMENT_BYTES)

    def _avoid(self, now_s: float, rtt_s: float, segments: float) -> None:
        window = self.window_bytes / SEGMENT_BYTES
        if self._epoch_s is None:
            self._epoch_s, self._reno = now_s, window
            self._most = max(self._most, window)
            self._k_s = ((self._most - window) / _C) ** (1 / 3)
        after_s = now_s - self._epoch_s
        cubic = _C * (after_s - self._k_s) ** 3 + self._most
        self._reno += (_ALPHA if self._reno < self._before else 1.0) * segments / window
        if cubic < self._reno:
            window = max(window, self._reno)
        else:
            target = _C * (after_s + rtt_s - self._k_s) ** 3 + self._most
            target = min(max(target, window), 1.5 * window)
            window += (target - window) / window * segments
        self.window_bytes = window * SEGMENT_BYTES

    def lost(self, now_s: float, size_bytes: int, *, first: bool) -> None:
        if not first:
            return
        window = self.window_bytes / SEGMENT_BYTES
        self._before = window
        self._most = window * (1 + _BETA) / 2 if window < self._most else window
        self.window_bytes = max(_LEAST_BYTES, self.window_bytes * _BETA)
        self._threshold_bytes, self._epoch_s = self.window_bytes, None

    def idle(self) -> None:
        """RFC 5681 section 4.1."""
        self.window_bytes = min(self.window_bytes, float(INITIAL_BYTES))
        self._epoch_s = None


class Bbr:
    def __init__(self) -> None:
        self.window_bytes = float(INITIAL_BYTES)
        self._least_rtt_s = math.inf
        self._rates: list[float] = []
        self._round_begun_s: float | None = None
        self._round_bytes = self._round_lost = 0
        self._best = 0.0
        self._rounds_without_growth = 0

    def acked(self, now_s: float, rtt_s: float, size_bytes: int, *, limited: bool) -> None:
        self._least_rtt_s = min(self._least_rtt_s, rtt_s)
        self._round_bytes += size_bytes
        if self._round_begun_s is None:
            self._round_begun_s = now_s - rtt_s
        if self._starting:
            self.window_bytes += size_bytes if limited else 0
        if now_s - self._round_begun_s >= rtt_s:
            self._end_round(now_s, limited=limited)

    @property
    def _starting(self) -> bool:
        return self._rounds_without_growth < _FULL_ROUNDS

    def _end_round(self, now_s: float, *, limited: bool) -> None:
        assert self._round_begun_s is not None
        rate = self._round_bytes / max(now_s - self._round_begun_s, 1e-9)
        self._rates = [*self._rates, rate][-_RATE_ROUNDS:] if limited else self._rates
        if limited and self._starting:
            grown = rate >= self._best * _FULL_GROWTH
            self._rounds_without_growth = 0 if grown else self._rounds_without_growth + 1
            self._best = max(self._best, rate)
        if self._round_lost > _LOSS_THRESHOLD * (self._round_lost + self._round_bytes):
            self.window_bytes = max(_LEAST_BYTES, self.window_bytes * _BETA)
            self._rates = []
        elif self._rates and not self._starting:
            on_path = max(self._rates) * self._least_rtt_s
            self.window_bytes = max(4.0 * SEGMENT_BYTES, _GAIN * on_path)
        self._round_begun_s, self._round_bytes, self._round_lost = now_s, 0, 0

    def lost(self, now_s: float, size_bytes: int, *, first: bool) -> None:
        self._round_lost += size_bytes

    def idle(self) -> None:
        """It knows what the path carries."""


CONGESTIONS: Mapping[str, Callable[[], Congestion]] = {"cubic": Cubic, "bbr": Bbr}
