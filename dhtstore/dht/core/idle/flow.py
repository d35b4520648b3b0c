"""Datagrams and bytes that come and go: always counted, and told a second over some minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

_MARKS_MAX: Final = 3  # so that at least one whole pause between two marks is looked at
_WINDOW_MIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class FlowRates:
    """A second, over the last ``window_s``; of datagrams, whose bytes do not count IP's and UDP's
    heads of 28 (IPv4) or 48 bytes."""

    window_s: float
    packets_in: float
    packets_out: float
    bytes_in: float
    bytes_out: float


class Flow:
    """Counts since the node started; ``mark`` now and then sets where a window may begin."""

    __slots__ = ("_marks", "bytes_in", "bytes_out", "packets_in", "packets_out")

    def __init__(self) -> None:
        self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0
        self._marks: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=_MARKS_MAX)

    def mark(self, now: float) -> None:
        """``now`` is monotonic seconds."""
        self._marks.append((now, self._counts()))

    def rates(self, now: float) -> FlowRates | None:
        """None before a second has passed since the first mark."""
        began_s, before = self._marks[0] if self._marks else (now, self._counts())
        window_s = now - began_s
        if window_s < _WINDOW_MIN_S:
            return None
        came = [count - was for count, was in zip(self._counts(), before, strict=True)]
        return FlowRates(window_s, *(count / window_s for count in came))

    def _counts(self) -> tuple[int, ...]:
        return self.packets_in, self.packets_out, self.bytes_in, self.bytes_out
