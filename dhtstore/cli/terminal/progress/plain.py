"""Progress for a log: a line every few seconds, whether or not anything moved, and one at the end
of each phase."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from dhtstore.cli.terminal.progress.lines import plain_end, plain_lines
from dhtstore.cli.terminal.progress.phases import Phases
from dhtstore.operations.operation import Progress

EVERY_S: Final = 5.0


class Plain:
    """A Watch; ``look`` is called now and then, also while nothing is told."""

    def __init__(
        self,
        phases: Phases,
        write: Callable[[str], None],
        clock: Callable[[], float],
        *,
        verbose: bool,
    ) -> None:
        self._phases, self._write, self._clock, self._verbose = phases, write, clock, verbose
        self._due_s = clock() + EVERY_S
        self._lock = threading.Lock()  # the looks come from another thread

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            ended = len(self._phases.over)
            self._phases(progress)
            self._tell_ended(ended)

    def look(self) -> None:
        """Write a line if it is time."""
        with self._lock:
            now_s = self._clock()
            if self._phases.current is None or now_s < self._due_s:
                return
            self._due_s = now_s + EVERY_S
            for line in plain_lines(self._phases.current, now_s, verbose=self._verbose):
                self._write(line)

    def end(self) -> None:
        """The operation is over, and well."""
        with self._lock:
            ended = len(self._phases.over)
            self._phases.end()
            self._tell_ended(ended)

    def _tell_ended(self, known: int) -> None:
        for over in self._phases.over[known:]:
            self._due_s = self._clock() + EVERY_S
            self._write(plain_end(over.rates, over.took_s))


class Looks:
    """A thread that looks every second, as a context manager."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look, self._over = look, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            self._look()
