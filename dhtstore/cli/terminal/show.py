"""Printing: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dhtstore.cli.terminal.common import Common, output_error, printable

if TYPE_CHECKING:
    from dhtstore.operations.moment import Moment


def say(common: Common, message: str) -> None:
    """A remark for people."""
    if not common.quiet:
        print(printable(message), file=sys.stderr, flush=True)


def emit(line: object) -> None:
    """One line of data, at once.

    Raises BrokenPipeError when the reader has had enough, NoRoom or TargetUnusable when it
    cannot be written.
    """
    try:
        print(line, flush=True)
    except OSError as error:
        # What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise output_error(error) from error


def print_json(value: Any) -> None:
    """A result of an operation, or plain JSON types."""
    import json

    import msgspec

    emit(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> None:
    """Aligned columns; the headers only where somebody reads them."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and lines:
        lines.insert(0, [header.upper() for header in headers])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        before_last = zip(line[:-1], widths, strict=False)
        emit("  ".join([*(cell.ljust(width) for cell, width in before_last), line[-1]]))


def fields_of(result: Any) -> dict[str, Any]:
    """The fields of a result by name, in order."""
    import msgspec

    return msgspec.structs.asdict(result)


def print_fields(fields: Mapping[str, object]) -> None:
    """One name and value a line."""
    width = max(map(len, fields), default=0) + 1
    for name, value in fields.items():
        emit(f"{name + ':':<{width}} {_cell(value)}")


def moment(time: Moment | None) -> str:
    """A time as people and scripts sort it; "never" for None, and the number itself where no
    calendar has it."""
    if time is None:
        return "never"
    return str(time.unix_s) if time.rfc3339 is None else time.rfc3339.replace("T", " ")


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else printable(str(value))
