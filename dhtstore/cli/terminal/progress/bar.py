"""Progress on a terminal: lines that rewrite themselves, one for each phase."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dhtstore.cli.terminal.progress.lines import bar_line, done_line, holder_lines
from dhtstore.cli.terminal.progress.phases import Phases
from dhtstore.operations.operation import Progress, Watch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@contextmanager
def bar(phases: Phases, clock: Callable[[], float], *, verbose: bool) -> Iterator[Watch]:
    """Shown on stderr, even if that is no terminal, and gone at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, force_terminal=True, highlight=False)
    screen = _Screen(phases, console, clock, verbose)
    with Live(get_renderable=screen.text, console=console, transient=True, refresh_per_second=8):
        yield screen


class _Screen:
    def __init__(
        self, phases: Phases, console: Console, clock: Callable[[], float], verbose: bool
    ) -> None:
        self._phases, self._console, self._clock = phases, console, clock
        self._verbose, self._lock = verbose, threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            self._phases(progress)

    def text(self) -> Text:
        """As wide as the terminal is now; called by the thread that draws."""
        from rich.text import Text

        with self._lock:
            lines = self._lines(self._console.width)
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    def _lines(self, columns: int) -> list[str]:
        now_s = self._clock()
        lines = [done_line(over.rates, over.took_s, columns) for over in self._phases.over]
        if self._phases.current is not None:
            lines.append(bar_line(self._phases.current, now_s, columns))
            if self._verbose:
                lines += holder_lines(self._phases.current, now_s, columns)
        return lines
