"""What a command has been told of its phases, for whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.cli.terminal.progress.rates import Rates
from dhtstore.operations.operation import KEPT, Progress


@dataclass(frozen=True, slots=True)
class Over:
    """A phase that has ended, after ``took_s``."""

    rates: Rates
    took_s: float


class Phases:
    """A Watch.  ``over`` are the phases that have ended, ``current`` is the one at work; ``kept``
    is what is left of an operation that was cut short."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.over: list[Over] = []
        self.current: Rates | None = None
        self.kept: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.phase == KEPT:
            self.kept = progress
            return
        now_s = self._clock()
        if self.current is not None and self.current.progress.phase == progress.phase:
            self.current.take(progress, now_s)
            return
        self.end()
        self.current = Rates(progress, now_s)

    def end(self) -> None:
        """The current phase is over."""
        if self.current is not None:
            self.over.append(Over(self.current, self._clock() - self.current.began_s))
            self.current = None
