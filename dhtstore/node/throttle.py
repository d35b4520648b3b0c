"""Progress at a rate that somebody can follow."""

from __future__ import annotations

from typing import Final

from dhtstore.net.ports import Clock
from dhtstore.operations.operation import Progress, Watch

PROGRESS_INTERVAL_S: Final = 0.1


class Throttle:
    """Passes on what is worth seeing: the first and the last of each phase, else one in a while."""

    def __init__(self, clock: Clock, watch: Watch) -> None:
        self._clock, self._watch = clock, watch
        self._phase, self._due_s = "", 0.0
        self._held: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        now_s = self._clock.monotonic_s()
        if progress.phase != self._phase:
            self.finish()
        if progress.phase != self._phase or now_s >= self._due_s:
            self._phase, self._due_s, self._held = progress.phase, now_s + PROGRESS_INTERVAL_S, None
            self._watch(progress)
        else:
            self._held = progress

    def finish(self) -> None:
        """Pass on what was held back."""
        held, self._held = self._held, None
        if held is not None:
            self._watch(held)
