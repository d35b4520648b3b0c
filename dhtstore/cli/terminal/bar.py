"""The progress line: on stderr, only where it is a terminal, one line that rewrites itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dhtstore.cli.terminal.common import Common
from dhtstore.operations.operation import Progress, Watch, unwatched


@contextmanager
def progress_bar(common: Common) -> Iterator[Watch]:
    """Shows bytes, rate, time left and holders of each phase while the block runs."""
    if common.quiet or not sys.stderr.isatty():
        yield unwatched
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[holders]} holders"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Watcher(bar.add_task, bar.update)


class _Watcher:
    """One row for each phase, in the order they come."""

    def __init__(self, add: Callable[..., object], update: Callable[..., None]) -> None:
        self._add, self._update = add, update
        self._rows: dict[str, object] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.phase not in self._rows:
            self._rows[progress.phase] = self._add(progress.phase, total=None, holders=0)
        self._update(
            self._rows[progress.phase],
            completed=progress.done_bytes,
            total=progress.total_bytes,
            holders=progress.holders,
        )
