"""Rows of a list, printed as they come: a table for people, an array for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from dhtstore.cli.terminal.columns import padded, width_of
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.show import cell_text, emit, say_none


class RowsOut(Protocol):
    def add(self, rows: Sequence[Any]) -> None:
        """Print these at once; raises as ``emit``."""

    def end(self) -> None:
        """There are no more."""


def rows_out(
    common: Common,
    headers: Sequence[str],
    cells: Callable[[Any], Sequence[object]],
    none: str = "",
) -> RowsOut:
    """``cells`` are what a table shows of a row; ``none`` is what somebody at a terminal is told
    where there is none."""
    if common.json:
        return _JsonRows()
    return _TableRows(headers, cells, lambda: say_none(common, none))


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

    def __init__(
        self,
        headers: Sequence[str],
        cells: Callable[[Any], Sequence[object]],
        none: Callable[[], None],
    ) -> None:
        shown, self._none = sys.stdout.isatty(), none
        self._headers = [[header.upper()] if shown else [] for header in headers]
        self._widths, self._cells = [0] * len(headers), cells

    def add(self, rows: Sequence[Any]) -> None:
        columns = [_texts(column) for column in zip(*map(self._cells, rows), strict=True)]
        columns = [header + column for header, column in zip(self._headers, columns, strict=True)]
        self._headers = [[] for _ in columns]
        self._widths = [
            max(width, width_of(column))
            for width, column in zip(self._widths, columns, strict=True)
        ]
        aligned = [
            padded(column, width) for width, column in zip(self._widths[:-1], columns, strict=False)
        ]
        emit("\n".join(map("  ".join, zip(*aligned, columns[-1], strict=True))))

    def end(self) -> None:
        """A table has no end; that there is none is said."""
        if not any(self._widths):
            self._none()


def _texts(column: Sequence[object]) -> list[str]:
    """As ``cell_text`` of each; nearly always all is text already that can be shown as it is."""
    texts = cast(Sequence[str], column)
    try:
        shown = all(texts) and "".join(texts).isprintable()
    except TypeError:
        shown = False
    return list(texts) if shown else [cell_text(cell) for cell in column]
