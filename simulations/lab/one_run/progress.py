"""How far a run is: one line on stderr, drawn again at most twice a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

_REFRESH_S = 0.5
_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Status:
    """Virtual times in seconds; ``begun_s`` is None while the world is being made."""

    now_s: float
    begun_s: float | None
    length_s: float
    up: int
    nodes: int
    events: int

    @property
    def share(self) -> float:
        """How much is done, of the making of the world or of the run."""
        if self.begun_s is None:
            return self.up / self.nodes
        return min(1.0, (self.now_s - self.begun_s) / self.length_s)


ProgressDisplay = Callable[[Callable[[], Status]], None]
"""Is called often while a run goes on, and asks for its status when it wants to show it."""


class Bar:
    """Virtual time, nodes alive, events a second of real time, and when it will be done."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._making = True
        self._started_s = self._begun_s = self._drawn_s = clock()
        self._share = 0.0
        self._width = 0
        self._status: Callable[[], Status] | None = None

    def __call__(self, status: Callable[[], Status]) -> None:
        """Ask for the status and draw it, if it is time."""
        wall_s = self._clock()
        if wall_s - self._drawn_s >= _REFRESH_S:
            self._drawn_s, self._status = wall_s, status
            self._draw(status(), wall_s)

    def close(self) -> None:
        """Leave the line as it is at the end."""
        if self._status is not None:
            self._draw(self._status(), self._clock())
            print(file=self._out, flush=True)

    def _draw(self, now: Status, wall_s: float) -> None:
        if self._making and now.begun_s is not None:  # what is left is estimated from here on
            self._making, self._begun_s, self._share = False, wall_s, now.share
        spent_s, done = wall_s - self._begun_s, now.share - self._share
        left = clock_time(spent_s * (1 - now.share) / done) if spent_s and done > 0 else "?"
        filled = int(_WIDTH * now.share)
        at = f"{clock_time(now.now_s)} virtual, making the world"
        if now.begun_s is not None:
            end_s = now.begun_s + now.length_s
            at = f"{clock_time(now.now_s)} of {clock_time(end_s)} virtual"
        rate = now.events / max(wall_s - self._started_s, 1e-9)
        line = (
            f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {at}  "
            f"{now.up:,} of {now.nodes:,} nodes up  {rate:,.0f} events/s  ETA {left}"
        )
        self._width = max(self._width, len(line))
        print(f"\r{line:{self._width}}", end="", file=self._out, flush=True)


def clock_time(duration_s: float) -> str:
    """Hours, minutes, seconds."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
