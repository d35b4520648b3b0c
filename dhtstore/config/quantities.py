"""Sizes, durations and other quantities as people write them: a number, then its unit.

One grammar and one table of units, read in two ways.  ``typed`` is for what somebody types on a
command line or into config.toml: a bare number counts in the base unit, case does not matter,
``200G`` is ``200 GB`` and ``5m`` is ``5 min``.  Otherwise (files that are written once and read
by many) a number without its unit is an error, only 0 needs none, and units are spelled exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from dhtstore.params import CLOCK_OFF_MIN_S

SIZES: Final[Mapping[str, int]] = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "PB": 1000**5,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
    "PiB": 1024**5,
}
DURATIONS: Final[Mapping[str, float]] = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "y": 31557600.0,  # of 365.25 days
}
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(\S.*)?"
)
_RANGE: Final = re.compile(r"([^-+]*)([-+])([^-+]*)")
_TYPED_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TYPED_SIZES: Final[Mapping[str, int]] = {
    spelled: factor
    for unit, factor in SIZES.items()
    for spelled in (unit.lower(), unit.lower().removesuffix("b"))
}
_TYPED_DURATIONS: Final[Mapping[str, float]] = {"": 1.0, "m": DURATIONS["min"], **DURATIONS}


def read_quantity(value: object, units: Mapping[str, float], wanted: str) -> float:
    """``value`` (as TOML gave it) in the base unit of ``units``.  Raises ValueError.

    ``wanted`` says what would be right, as "a duration such as '50 ms' or '8 h'".
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not {wanted}")
    number, unit = float(match[1]), match[2]
    if unit is None and number != 0:
        raise ValueError(f"{value!r} has no unit; write {wanted}")
    if unit is not None and unit not in units:
        raise ValueError(f"{value!r}: unknown unit {unit!r}; one of {', '.join(units)}")
    quantity = number * units[unit] if unit else 0.0
    if not math.isfinite(quantity):
        raise ValueError(f"{value!r} is more than any number here")
    return quantity


def parse_size(text: str) -> int:
    """Bytes from ``200 GB`` (10^9), ``10GiB`` (2^30) or ``4096``, as typed; raises ValueError."""
    return round(_typed(text, _TYPED_SIZES, "a size such as 500MB or 10GiB"))


def parse_range(text: str) -> tuple[int, int | None]:
    """Where a range of bytes begins and ends, as typed: ``1G-2G`` and ``1G+1G`` from the first up
    to and without the second, ``1G-`` to the end (None), ``-1M`` the last million (-1000000).

    Raises ValueError.
    """
    wanted = f"{text[:40]!r} is not a range such as 1G-2G, 1G+500M, 1G- or -1M"
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(wanted)
    first, sign, last = match.groups()
    try:
        start = parse_size(first) if first else 0
        end = parse_size(last) if last else None
    except ValueError as error:
        raise ValueError(f"{wanted}: {error}") from error
    if not first:
        if sign == "+" or end is None:
            raise ValueError(wanted)
        start, end = -end, None
    elif sign == "+":
        if end is None:
            raise ValueError(wanted)
        end += start
    if (end is not None and end <= start) or (not first and start == 0):
        raise ValueError(
            f"{text[:40]!r} is empty: a range is START-END, without END, or START+LENGTH"
        )
    return start, end


def parse_duration(text: str) -> float:
    """Seconds from ``90``, ``30s``, ``5m``, ``2h`` or ``250ms``, as typed; more than 0.

    Raises ValueError.
    """
    wanted = "a duration such as 30s or 5m"
    duration_s = float(_typed(text, _TYPED_DURATIONS, wanted))
    if duration_s <= 0:
        raise ValueError(f"{text[:40]!r} is not {wanted}")
    return duration_s


def parse_duration_with_unit(text: str) -> float:
    """As ``parse_duration``, and with a unit: who types 30 means days, and not seconds.

    Raises ValueError.
    """
    if not text.strip()[-1:].isalpha():
        raise ValueError(f"{text[:40]!r} has no unit")
    return parse_duration(text)


def format_size(size_bytes: float) -> str:
    """For people, in powers of ten, as disks are sold and every other size here is told:
    ``1.4 GB``."""
    if round(size_bytes) < 1000:
        return f"{round(size_bytes)} B"
    value = size_bytes / 1000
    for unit in ("kB", "MB", "GB", "TB"):
        if value < 999.95:  # 1000.0 is 1.0 of the next
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} PB"


def counted(count: int, noun: str, plural: str = "") -> str:
    """For people: ``1 peer``, ``2 peers``; ``plural`` where it is not ``noun`` with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def format_duration(duration_s: float) -> str:
    """For people, rounded to what matters: ``20 minutes``, ``3 hours``, ``2 days``, ``2 years``."""
    for seconds, unit, below in ((1, "second", 120), (60, "minute", 120), (3600, "hour", 48)):
        count = round(duration_s / seconds)
        if count < below:
            return counted(count, unit)
    days = round(duration_s / 86_400)
    return counted(days, "day") if days < 730 else counted(round(days / 365), "year")


def format_clock(ahead_s: float, others: str = "") -> str:
    """How a clock differs: ``2 days ahead``, ``20 minutes behind`` or, with ``others``, ``2 days
    ahead of those of most peers``."""
    difference = format_duration(abs(ahead_s))
    words = ("ahead of" if others else "ahead") if ahead_s > 0 else "behind"
    return f"{difference} {words} {others}".rstrip()


def format_own_clock(ahead_s: float | None) -> str:
    """How our clock differs from those of most peers; "" where it does not, or none have told."""
    if abs(ahead_s or 0.0) < CLOCK_OFF_MIN_S:
        return ""
    return format_clock(ahead_s or 0.0, "those of most peers")


def _typed(text: str, units: Mapping[str, float], wanted: str) -> float:
    """Whole numbers stay exact: a size may pass what a float holds."""
    match = _QUANTITY.fullmatch(text.strip())
    number, unit = (match[1], (match[2] or "").lower()) if match else ("", "")
    if not _TYPED_NUMBER.fullmatch(number) or unit not in units:
        raise ValueError(f"{text[:40]!r} is not {wanted}")
    return (float(number) if "." in number else int(number)) * units[unit]
