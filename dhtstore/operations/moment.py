"""A time as results tell it: for programs that count and for those that compare text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

_SECONDS_CHARS: Final = len("2027-01-15T08:00:00")


class Moment(msgspec.Struct, frozen=True):
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
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat()[:_SECONDS_CHARS] + "Z"
    except (OverflowError, ValueError, OSError):
        return None
