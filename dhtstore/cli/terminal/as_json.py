"""What --json prints: a result or a failure as one line of JSON (docs/json.md).

JSON is UTF-8 whatever the locale says.  What is not printable is escaped, so that a name cannot
drive a terminal; a byte of an argument that is not UTF-8 is written as names are (model/names.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dhtstore.model.names import name_of_argument
from dhtstore.operations.content import HolderReport
from dhtstore.operations.explaining.report import FetchReport

_ASTRAL = 0x10000  # characters from here on are two escapes in JSON (RFC 8259 section 7)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command failed.  ``kind`` is a class of dhtstore.errors, "Unexpected" for a bug or
    "Interrupted"; ``hint`` says what to do next; ``causes`` what went wrong at each node (or seed),
    where several had a part in it.  ``trace`` is there for a bug only: it helps who gets the
    report.  ``report`` is there where something was fetched: who was looked for and asked;
    ``reports`` of a put that was cut short: what became of each node that was asked until then."""

    kind: str
    message: str
    hint: str
    exit_code: int
    causes: dict[str, str]
    trace: str | msgspec.UnsetType = msgspec.UNSET
    report: FetchReport | msgspec.UnsetType = msgspec.UNSET
    reports: list[HolderReport] | msgspec.UnsetType = msgspec.UNSET


class FailureLine(msgspec.Struct, frozen=True):
    """The one line on standard error of a command with --json that failed."""

    error: Failure


def json_line(value: Any) -> str:
    """One value on one line."""
    try:
        line = msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:  # a byte of an argument that is not UTF-8: PEP 383
        line = msgspec.json.encode(_text_of(msgspec.to_builtins(value, enc_hook=str))).decode()
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else _escaped(char) for char in line)


def failure_line(
    *,
    kind: str,
    message: str,
    hint: str,
    exit_code: int,
    causes: Mapping[str, str],
    trace: str = "",
    report: FetchReport | None = None,
    reports: Sequence[HolderReport] | None = None,
) -> str:
    """What a command that failed says."""
    failure = Failure(
        kind=kind,
        message=message,
        hint=hint,
        exit_code=exit_code,
        causes=dict(causes),
        trace=trace or msgspec.UNSET,
        report=report or msgspec.UNSET,
        reports=list(reports) if reports else msgspec.UNSET,
    )
    return json_line(FailureLine(failure))


def _text_of(value: Any) -> Any:
    """The same with all text as UTF-8 can have it."""
    if isinstance(value, str):
        return value if value.isascii() else name_of_argument(value)
    if isinstance(value, dict):
        return {_text_of(key): _text_of(each) for key, each in value.items()}
    return [_text_of(each) for each in value] if isinstance(value, list) else value


def _escaped(char: str) -> str:
    code = ord(char)
    if code < _ASTRAL:
        return f"\\u{code:04x}"
    above = code - _ASTRAL
    return f"\\u{0xD800 + (above >> 10):04x}\\u{0xDC00 + (above & 0x3FF):04x}"
