"""The tracer of real nodes: trace events become lines of Python's log, in words, few enough.

Values come from strangers: nothing in them may drive a terminal or make a line long.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Final

from dhtstore.api.logbook.limiter import Limiter
from dhtstore.api.logbook.table import Told, told
from dhtstore.config import format_size

VALUE_MAX_CHARS: Final = 200
FIELDS_MAX: Final = 16
_ORIGIN: Final = "origin"
_WORD: Final = re.compile(r"[\w.:/+-]+")

Value = str | int | float | bool | None


class Logbook:
    """A Tracer.  Records carry ``event`` and ``fields`` for whoever formats them.  At the level of
    debugging everything is told, as often as it happens."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger, self._clock = logger, clock
        self._limiter = Limiter()
        self._lock = threading.Lock()  # events come from worker threads too

    def __call__(self, event: str, **fields: object) -> None:
        how = told(event)
        if not self._logger.isEnabledFor(how.level):
            return
        if how.level > logging.DEBUG and not self._has_room(event, fields, how):
            return
        self._write(event, fields, how)

    def _has_room(self, event: str, fields: Mapping[str, object], how: Told) -> bool:
        origin = str(fields.get(_ORIGIN, ""))
        with self._lock:
            now_s = self._clock()
            room = self._limiter.take(event, origin, how.pace, now_s)
            left_out = self._limiter.left_out(now_s)
        for each, count in left_out:
            self._tell_more(each, count)
        return room

    def _tell_more(self, event: str, count: int) -> None:
        how = told(event)
        self._log(event, how.level, f"{how.text}: {count} more suppressed", {"suppressed": count})

    def _write(self, event: str, fields: Mapping[str, object], how: Told) -> None:
        bounded = dict(list(bounded_fields(fields).items())[:FIELDS_MAX])
        self._log(event, how.level, how.text or event, bounded)

    def _log(self, event: str, level: int, text: str, fields: Mapping[str, Value]) -> None:
        told_of = {"event": event, "text": text, "fields": fields}
        details = "" if "suppressed" in fields else spelled(fields)
        self._logger.log(level, "%s", f"{text}: {details}" if details else text, extra=told_of)


def bounded_fields(fields: Mapping[str, object]) -> dict[str, Value]:
    """As they may be written: numbers as they are, everything else as bounded, printable text."""
    return {name: _bounded(value) for name, value in fields.items()}


def spelled(fields: Mapping[str, Value]) -> str:
    """For people: ``name=value``, quoted where it is more than a word; sizes in their units."""
    return " ".join(f"{name}={_word(name, value)}" for name, value in fields.items())


def _word(name: str, value: Value) -> str:
    if name == "size" and isinstance(value, int):
        return format_size(value).replace(" ", "")
    text = str(value)
    return text if _WORD.fullmatch(text) else '"{}"'.format(text.replace('"', "'"))


def _bounded(value: object) -> Value:
    if value is None or isinstance(value, int | float):
        return value
    return printable(str(value)[:VALUE_MAX_CHARS])[:VALUE_MAX_CHARS]


def printable(text: str) -> str:
    """What does not print as an escape: nothing in it drives a terminal or begins a line."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
