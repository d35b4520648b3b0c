"""Printing: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dhtstore.cli.terminal.columns import padded, width_of
from dhtstore.cli.terminal.common import Common, output_error, printable

if TYPE_CHECKING:
    from dhtstore.operations.keeping import DamagePlace
    from dhtstore.operations.moment import Moment


def say(common: Common, message: str) -> None:
    """A remark for people: a program that asked for JSON is told all of it in the result."""
    if not (common.quiet or common.json):
        remark(common, message)


def remark(common: Common, message: str, *, warning: bool = False) -> None:
    """On standard error, or in the log where nothing else may stand there."""
    if common.log_format == "json":
        import logging

        level = logging.WARNING if warning else logging.INFO
        logging.getLogger("dhtstore").log(level, "%s", message, extra={"event": "remark"})
    else:
        print(printable(message), file=sys.stderr, flush=True)


def emit(line: object) -> None:
    """One line of data, at once.

    Raises BrokenPipeError when the reader has had enough, NoRoom or TargetUnusable when it
    cannot be written.
    """
    emit_lines([str(line)])


def emit_lines(lines: Iterable[str]) -> None:
    """Many lines of data, as they come.  Raises as ``emit``, and what ``lines`` raises."""
    for line in lines:
        with _writing():
            print(line)
    with _writing():
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise output_error(error) from error


def print_json(value: Any) -> None:
    """A result on one line; of a list a line for each row, made when it is printed."""
    from dhtstore.cli.terminal.as_json import json_line

    emit_lines(_array(map(json_line, value)) if isinstance(value, list) else [json_line(value)])


def tell_json(value: Any) -> None:
    """A result on standard error, on one line, where data is on standard output."""
    from dhtstore.cli.terminal.as_json import json_line

    print(json_line(value), file=sys.stderr, flush=True)


def _array(rows: Iterator[str]) -> Iterator[str]:
    """A JSON array with each row on a line of its own."""
    before = next(rows, None)
    if before is None:
        yield "[]"
        return
    yield "["
    for row in rows:
        yield before + ","
        before = row
    yield before
    yield "]"


def say_none(common: Common, none: str) -> None:
    """That a list is empty, to somebody at a terminal; a script sees it by itself."""
    if none and sys.stdout.isatty():
        say(common, none)


def print_table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> None:
    """Aligned columns; the headers only where somebody reads them."""
    lines = [[cell_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and lines:
        lines.insert(0, [header.upper() for header in headers])
    columns = list(zip(*lines, strict=True))
    aligned = [padded(column, width_of(column)) for column in columns[:-1]]
    emit_lines(map("  ".join, zip(*aligned, *columns[-1:], strict=True)))


def fields_of(result: Any) -> dict[str, Any]:
    """The fields of a result by name, in order."""
    import msgspec

    return msgspec.structs.asdict(result)


def print_fields(fields: Mapping[str, object]) -> None:
    """One name and value a line."""
    width = max(map(len, fields), default=0) + 1
    for name, value in fields.items():
        emit(f"{name + ':':<{width}} {cell_text(value)}")


def moment(time: Moment | None) -> str:
    """A time as people and scripts sort it; "never" for None, and the number itself where no
    calendar has it."""
    if time is None:
        return "never"
    return str(time.unix_s) if time.rfc3339 is None else time.rfc3339.replace("T", " ")


def place_text(place: DamagePlace) -> str:
    """What a damaged block belongs to."""
    if place.kept_by == "owner":
        return f"of {place.root}, held for owner {place.owner}"
    by = "put here" if place.kept_by == "put" else "pinned here"
    name = f' as "{printable(place.name)}"' if place.name else ""
    path = f"{printable(place.path)} in " if place.path else ""
    return f"{path}{place.root}, {by}{name}"


def cell_text(value: object) -> str:
    """A value in a table or beside its name."""
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(item) for item in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else printable(str(value))
