"""Typed, frozen sections of a scenario file, read from what TOML gave.

A section is a frozen dataclass whose fields are declared with the helpers below; each carries
its own reader, so that an impossible value is refused with the full name of its key.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from simulations import units
from simulations.errors import ScenarioError

INTEGER_MAX = 2**63 - 1  # what Parquet has room for
S = TypeVar("S")
Reader = Callable[[object], Any]


def setting(read: Reader, default: object) -> Any:
    """A field read by ``read``; ``default`` is written as the scenario file would write it."""
    return dataclasses.field(default=read(default), metadata={"read": read})


def duration(default: object, low_s: float = 0.0, high_s: float = float("inf")) -> Any:
    return setting(_bounded(units.seconds, low_s, high_s, "s"), default)


def size(default: object, low: int = 0) -> Any:
    return setting(_bounded(units.size_bytes, low, float("inf"), "bytes"), default)


def share(default: object) -> Any:
    return setting(units.share, default)


def rate(default: object) -> Any:
    """Bytes a second; "unlimited" is None."""

    def read(value: object) -> float | None:
        if value == "unlimited":
            return None
        found = units.bytes_per_s(value)
        if found <= 0:
            raise ValueError(f"{value!r} must be more than 0, or 'unlimited'")
        return found

    return setting(read, default)


def duration_or(default: str, low_s: float = 0.0) -> Any:
    """A duration, or the word ``default``, which is None."""
    read = _bounded(units.seconds, low_s, float("inf"), "s")
    return setting(lambda value: None if value == default else read(value), default)


def number_or(default: str, low: float, high: float) -> Any:
    """A number, or the word ``default``, which is None."""
    read = _bounded(units.plain, low, high, "")
    return setting(lambda value: None if value == default else read(value), default)


def number(default: float, low: float = float("-inf"), high: float = float("inf")) -> Any:
    return setting(_bounded(units.plain, low, high, ""), default)


def integer(default: int, low: int = 0, high: int = INTEGER_MAX) -> Any:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is not a whole number")
        if not low <= value <= high:  # not as floats, of which one stands for many of these
            raise ValueError(f"{value} must be from {low} to {high}")
        return value

    return setting(read, default)


def choice(default: str, *others: str) -> Any:
    allowed = (default, *others)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
        return value

    return setting(read, default)


def choices(*allowed: str) -> Any:
    """Some words of these, as a list or with commas between; all of them by default."""

    def read(value: object) -> tuple[str, ...]:
        words = value.split(",") if isinstance(value, str) else value
        chosen = [str(word).strip() for word in words] if isinstance(words, list | tuple) else []
        if not chosen or any(word not in allowed for word in chosen):
            raise ValueError(f"{value!r} must be some of {', '.join(allowed)}")
        return tuple(dict.fromkeys(chosen))

    return setting(read, allowed)


def text(default: str = "") -> Any:
    return setting(_text, default)


def file_name() -> Any:
    """A file beside the scenario; a run keeps a copy of it in its folder."""
    return dataclasses.field(default="", metadata={"read": _text, "is_file": True})


def word() -> Any:
    """A name that can stand in a key or a label; none by default."""

    def read(value: object) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", _text(value)):
            raise ValueError(f"{value!r} is not a name of letters, digits, - and _")
        return _text(value)

    return dataclasses.field(default="", metadata={"read": read})


def flag(default: bool) -> Any:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is neither true nor false")
        return value

    return setting(read, default)


def read_section(section: type[S], table: object, name: str) -> S:
    """Build a section from its TOML table; raises ScenarioError naming the key."""
    if not isinstance(table, Mapping):
        raise ScenarioError(f"[{name}] must be a table")
    fields = {field.name: field for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key not in fields:
            raise ScenarioError(f"unknown key {name}.{key}{suggestion(key, fields)}")
        try:
            values[key] = fields[key].metadata["read"](value)
        except ValueError as error:
            raise ScenarioError(f"{name}.{key}: {error}") from error
    try:
        return section(**values)
    except ValueError as error:  # from a section's own __post_init__
        raise ScenarioError(f"[{name}]: {error}") from error


def suggestion(key: str, known: Mapping[str, object]) -> str:
    if not known:
        return "; there is none"
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _bounded(read: Reader, low: float, high: float, unit: str) -> Reader:
    def bounded(value: object) -> Any:
        found = read(value)
        if not low <= found <= high:
            bounds = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            raise ValueError(f"{value!r} must be {bounds} {unit}".rstrip())
        return found

    return bounded


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value
