"""Rows that compaction is to copy, in the order of their packs and places.

To sort a hundred thousand at once holds the interpreter for 20 to 150 ms, which whoever puts
waits for.  So they are kept by the MiB of the pack they lie in, and a MiB is sorted when it is its
turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from dhtstore.params import MIB
from dhtstore.store.blocks.staged_table import Row


class PendingRows:
    """Those of the first pack come first, and of a pack the last one."""

    def __init__(self) -> None:
        self._spans: dict[tuple[int, int], list[Row]] = {}
        self._order: list[tuple[int, int]] = []  # of spans, the next one last; empty if not known
        self._ready: list[Row] = []  # of the span that is at work, the next one last
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Iterable[Row]) -> None:
        """More, before any is taken or when all are."""
        for row in rows:
            self._spans.setdefault((-row.pack, row.offset // MIB), []).append(row)
            self._count += 1
        self._order.clear()

    @property
    def next(self) -> Row:
        """One that is there."""
        if not self._ready:
            self._order = self._order or sorted(self._spans)
            self._ready = sorted(self._spans.pop(self._order.pop()), key=attrgetter("offset"))
        return self._ready[-1]

    def pop(self) -> Row:
        row = self.next
        self._ready.pop()
        self._count -= 1
        return row

    def clear(self) -> None:
        self._spans.clear()
        self._order.clear()
        self._ready.clear()
        self._count = 0
