"""Rows of a list, printed as they come: a table for people, an array for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.show import cell_text, emit


class RowsOut(Protocol):
    def add(self, rows: Sequence[Any]) -> None:
        """Print these at once; raises as ``emit``."""

    def end(self) -> None:
        """There are no more."""


def rows_out(
    common: Common, headers: Sequence[str], cells: Callable[[Any], Sequence[object]]
) -> RowsOut:
    """``cells`` are what a table shows of a row."""
    return _JsonRows() if common.json else _TableRows(headers, cells)


class _JsonRows:
    """A JSON array with each row on a line of its own; what fails in between is not closed."""

    def __init__(self) -> None:
        self._before = ""  # the last row, which gets a comma if another follows

    def add(self, rows: Sequence[Any]) -> None:
        from dhtstore.cli.terminal.as_json import json_line

        lines = [json_line(row) for row in rows]
        emit("\n".join([f"{self._before}," if self._before else "[", *_followed(lines)]))
        self._before = lines[-1]

    def end(self) -> None:
        emit(f"{self._before}\n]" if self._before else "[]")


def _followed(lines: Sequence[str]) -> list[str]:
    return [line + "," for line in lines[:-1]]


class _TableRows:
    """Columns as wide as what they hold so far; headers only where somebody reads them."""

    def __init__(self, headers: Sequence[str], cells: Callable[[Any], Sequence[object]]) -> None:
        self._headers = [[header.upper() for header in headers]] if sys.stdout.isatty() else []
        self._widths, self._cells = [0] * len(headers), cells

    def add(self, rows: Sequence[Any]) -> None:
        lines = [[cell_text(cell) for cell in self._cells(row)] for row in rows]
        lines, self._headers = [*self._headers, *lines], []
        columns = list(zip(*lines, strict=True))
        self._widths = [
            max(width, max(map(len, column)))
            for width, column in zip(self._widths, columns, strict=True)
        ]
        padded = [
            [cell.ljust(width) for cell in column]
            for width, column in zip(self._widths[:-1], columns, strict=False)
        ]
        emit("\n".join(map("  ".join, zip(*padded, columns[-1], strict=True))))

    def end(self) -> None:
        """A table has no end."""
