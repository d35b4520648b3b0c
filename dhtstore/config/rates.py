"""Limits in bytes a second that may depend on the time of the week, as people write them:
``5MB/s, 22:00-06:00 unlimited, sat-sun 2MB/s``.

Of several parts the last that fits counts.  Times are local: they are looked at as the clock on
the wall shows them, so an hour that a change of summer time repeats or leaves out is as long as
the wall says.  A span that passes midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dhtstore.config.quantities import format_size, parse_size
from dhtstore.params import LIMIT_MIN_BYTES_PER_S

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 24 * 60
UNLIMITED: Final = ("unlimited", "none")
_WANTED: Final = "a limit such as 5MB/s or unlimited, or '5MB/s, 22:00-06:00 unlimited'"
_PARTS_MAX: Final = 64
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True)
class RatePart:
    """``bytes_per_s`` (None: no limit) on those ``days`` (Monday is 0), from ``begin`` on for
    ``minutes``, in minutes of the day."""

    bytes_per_s: int | None
    days: frozenset[int] = frozenset(range(7))
    begin: int = 0
    minutes: int = DAY_MINUTES

    def fits(self, day: int, minute: int) -> bool:
        today = day in self.days and self.begin <= minute < self.begin + self.minutes
        since_yesterday = minute + DAY_MINUTES < self.begin + self.minutes
        return today or (since_yesterday and (day - 1) % 7 in self.days)


@dataclass(frozen=True, slots=True)
class RateSchedule:
    """What was written, and what it means."""

    text: str = UNLIMITED[0]
    parts: tuple[RatePart, ...] = (RatePart(None),)

    def __str__(self) -> str:
        return self.text

    def at(self, day: int, minute: int) -> int | None:
        """Bytes a second then (Monday is 0, minutes of the day), None for no limit."""
        fitting = [part for part in self.parts if part.fits(day, minute)]
        return fitting[-1].bytes_per_s if fitting else None

    @property
    def changes(self) -> bool:
        """Whether it depends on the time."""
        return any(part.minutes < DAY_MINUTES or len(part.days) < 7 for part in self.parts)


NO_LIMIT: Final = RateSchedule()


def rate_schedule(value: object) -> RateSchedule:
    """Raises ValueError, which says what is wrong in which part."""
    if isinstance(value, RateSchedule):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not {_WANTED}")
    texts = [text.strip() for text in value.split(",")]
    if len(texts) > _PARTS_MAX:
        raise ValueError(f"more than {_PARTS_MAX} parts")
    parts = tuple(
        _part(text, f"part {number}, {text[:40]!r}: " if len(texts) > 1 else "")
        for number, text in enumerate(texts, start=1)
    )
    return RateSchedule(", ".join(" ".join(text.split()) for text in texts), parts)


def _part(text: str, where: str) -> RatePart:
    try:
        *when, rate = text.split() or [""]
        days, begin, minutes = _when(when)
        return RatePart(_rate(rate), days, begin, minutes)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def _when(words: list[str]) -> tuple[frozenset[int], int, int]:
    days, (begin, minutes) = frozenset(range(7)), (0, DAY_MINUTES)
    if words and ":" not in words[0]:
        days = _days(words.pop(0))
    if words:
        begin, minutes = _span(words.pop(0))
    if words:
        raise ValueError(f"{words[0][:40]!r} is too much: write DAYS HH:MM-HH:MM LIMIT")
    return days, begin, minutes


def _days(word: str) -> frozenset[int]:
    first, separator, last = word.lower().partition("-")
    names = (first, last) if separator else (first, first)
    for name in names:
        if name not in DAYS:
            raise ValueError(f"{name[:40]!r} is neither a day ({', '.join(DAYS)}) nor HH:MM-HH:MM")
    begin, end = map(DAYS.index, names)
    return frozenset((begin + day) % 7 for day in range((end - begin) % 7 + 1))


def _span(word: str) -> tuple[int, int]:
    begin, separator, end = word.partition("-")
    if not separator:
        raise ValueError(f"{word[:40]!r} is not HH:MM-HH:MM")
    first, last = _minute(begin), _minute(end)
    if first == last:
        raise ValueError(f"{word!r} is no time at all; a whole day is 00:00-24:00")
    return first, last - first if last > first else last + DAY_MINUTES - first


def _minute(text: str) -> int:
    match = _TIME.fullmatch(text)
    hours, minutes = (int(match[1]), int(match[2])) if match else (99, 0)
    if minutes > 59 or hours * 60 + minutes > DAY_MINUTES:
        raise ValueError(f"{text[:40]!r} is not a time such as 06:00")
    return hours * 60 + minutes


def _rate(word: str) -> int | None:
    if word.lower() in UNLIMITED:
        return None
    size, _, second = word.partition("/")
    if second.lower() != "s" and size != "0":
        raise ValueError(f"{word[:40]!r} is not {_WANTED}")
    try:
        bytes_per_s = parse_size(size)
    except ValueError as error:
        raise ValueError(f"{word[:40]!r} is not {_WANTED}") from error
    if bytes_per_s == 0:
        raise ValueError("0 would let nothing through; for no limit write 'unlimited'")
    if bytes_per_s < LIMIT_MIN_BYTES_PER_S:
        least = format_size(LIMIT_MIN_BYTES_PER_S)
        raise ValueError(f"{word[:40]} is too little: below {least}/s a node looks stalled")
    return bytes_per_s
