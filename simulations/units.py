"""Quantities with units, as scenario files spell them: "50 ms", "8 h", "64 KiB", "1 MiB/s", "5 %".

Each reader takes what TOML gave and returns SI seconds, bytes, bytes a second or a share.  A
number without its unit is an error (only 0 needs none), and so is another kind of unit.
"""

from __future__ import annotations

import math

from dhtstore.config.quantities import DURATIONS, SIZES, read_quantity

_RATES = {f"{unit}/s": factor for unit, factor in SIZES.items()} | {
    "bit/s": 1 / 8,
    "kbit/s": 1000 / 8,
    "Mbit/s": 1000**2 / 8,
    "Gbit/s": 1000**3 / 8,
}


def seconds(value: object) -> float:
    """ "50 ms", "8 h", "2.5 d"; raises ValueError."""
    return read_quantity(value, DURATIONS, "a duration such as '50 ms' or '8 h'")


def size_bytes(value: object) -> int:
    """ "64 KiB", "1 GiB"; raises ValueError, also for parts of a byte."""
    size = read_quantity(value, SIZES, "a size such as '64 KiB' or '1 GiB'")
    if size != int(size):
        raise ValueError(f"{value!r} is not a whole number of bytes")
    return int(size)


def bytes_per_s(value: object) -> float:
    """ "1 MiB/s", "100 Mbit/s"; raises ValueError."""
    return read_quantity(value, _RATES, "a rate such as '1 MiB/s' or '100 Mbit/s'")


def share(value: object) -> float:
    """ "5 %" or 0.05, from 0 to 1; raises ValueError."""
    wanted = "a share such as '5 %' or 0.05"
    percent = isinstance(value, str)
    number = read_quantity(value, {"%": 0.01}, wanted) if percent else plain(value, wanted)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is outside 0 to 1 (0 % to 100 %)")
    return number


def plain(value: object, wanted: str = "a number") -> float:
    """A finite number without a unit; raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not {wanted}")
    return float(value)
