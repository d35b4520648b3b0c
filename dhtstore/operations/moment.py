"""A time as results tell it: for programs that count and for those that compare text."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

_DAY_S: Final = 86_400
_TWO_DIGITS: Final = tuple(f"{number:02}" for number in range(60))


class Moment(msgspec.Struct, frozen=True, gc=False):
    """``unix_s`` in whole seconds; ``rfc3339`` the same in UTC, as 2027-01-15T08:00:00Z (RFC 3339),
    None where no calendar has it: others may have signed it."""

    unix_s: int
    rfc3339: str | None

    @classmethod
    def at(cls, unix_s: float) -> Moment:
        """The whole second that ``unix_s`` lies in."""
        whole_s = int(unix_s // 1)
        return cls(whole_s, _rfc3339(whole_s))

    @classmethod
    def at_or_never(cls, unix_s: float) -> Moment | None:
        """None for 0, which stands for "never" in what is signed."""
        return cls.at(unix_s) if unix_s else None


def _rfc3339(unix_s: int) -> str | None:
    days, second = divmod(unix_s, _DAY_S)
    date = _date(days)
    if date is None:
        return None
    minute, second = divmod(second, 60)
    return f"{date}T{_of_day(minute)}:{_TWO_DIGITS[second]}Z"


@lru_cache(maxsize=1024)
def _date(days: int) -> str | None:
    """Of the day so many days after 1970-01-01: lists tell two times a row, by the hundred
    thousand, and few days."""
    try:
        return datetime.fromtimestamp(days * _DAY_S, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return None


@lru_cache(maxsize=_DAY_S // 60)
def _of_day(minute: int) -> str:
    return f"{_TWO_DIGITS[minute // 60]}:{_TWO_DIGITS[minute % 60]}"
