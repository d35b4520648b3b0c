"""How fast it goes, of one phase: what moved of late, whatever was there before."""

from __future__ import annotations

from collections import deque
from typing import Final

from dhtstore.operations.operation import Progress

WINDOW_S: Final = 10.0  # long enough to be steady, short enough to show a stall
STEP_S: Final = 0.5  # between the samples that are kept
_ALL: Final = ""


class Rates:
    """``now_s`` is monotonic.  ``began_s`` is when the phase was first told of."""

    def __init__(self, progress: Progress, now_s: float) -> None:
        self.progress, self.began_s = progress, now_s
        self._samples = deque([(now_s, _moved(progress))])

    def take(self, progress: Progress, now_s: float) -> None:
        self.progress = progress
        if now_s - self._samples[-1][0] >= STEP_S:
            self._samples.append((now_s, _moved(progress)))

    def of_all(self, now_s: float) -> float | None:
        """Bytes a second; None while nothing can be said."""
        return self._rate(_ALL, self.progress.moved_bytes, now_s)

    def of_holder(self, node: str, now_s: float) -> float | None:
        """The same for what moves to or from one node."""
        return self._rate(node, _moved(self.progress).get(node, 0), now_s)

    def left_s(self, now_s: float) -> float | None:
        """How long the rest takes at this rate."""
        total, rate = self.progress.total_bytes, self.of_all(now_s)
        return (total - self.progress.done_bytes) / rate if total and rate else None

    def _rate(self, whose: str, moved_bytes: int, now_s: float) -> float | None:
        while len(self._samples) > 1 and self._samples[1][0] <= now_s - WINDOW_S:
            self._samples.popleft()
        then_s, before = self._samples[0]
        passed_s = now_s - then_s
        return max(0, moved_bytes - before.get(whose, 0)) / passed_s if passed_s > 0 else None


def _moved(progress: Progress) -> dict[str, int]:
    moved = {each.node: each.done_bytes - each.earlier_bytes for each in progress.by_holder}
    return {_ALL: progress.moved_bytes, **moved}
