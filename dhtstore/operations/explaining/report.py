"""What a fetch did, holder by holder and lookup by lookup: on success as well as on failure.

Times are seconds since the command began to fetch; None is: never, or not known.  Everything is
bounded, whatever peers say of how many they are: what is left out is counted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dhtstore.operations.explaining.causes import Cause, CauseKind

HOLDERS_TOLD_MAX: Final = 64  # timelines in one report; as many as index nodes keep of a unit
SEARCHES_TOLD_MAX: Final = 16  # a large file has hundreds of units
FOUND_TOLD_MAX: Final = 8  # holders that one lookup is said to have found
TRIES_TOLD_MAX: Final = 8  # addresses of one holder


class AddressTry(msgspec.Struct, frozen=True):
    """One address that was dialled: from ``began_s`` on for ``took_s``; ``cause`` is why it led
    nowhere, None where it led to the node."""

    address: str
    began_s: float
    took_s: float
    cause: Cause | None = None


class HolderTimeline(msgspec.Struct, frozen=True):
    """What one holder did for the fetches of one command, and when.

    Of the blocks that it was ``asked`` for it ``delivered`` some, whole and right,
    ``delivered_bytes`` together, and said of others that it ``lacked`` them; so often it said
    that it was ``busy``, and was asked again later.  It was named by a
    lookup at ``found_s``, connected to at ``connected_s``, asked first at ``asked_s``; its first
    byte came at ``first_byte_s``, its last at ``last_byte_s``.  ``rate`` is bytes a second while it
    owed something.  ``cause`` is what last went wrong with it, at ``ended_s``, None if nothing.
    ``tries`` are the addresses that were dialled; of ``tries_count`` the first.
    """

    node: str
    asked: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lacked: int = 0
    busy: int = 0
    found_s: float | None = None
    connected_s: float | None = None
    asked_s: float | None = None
    first_byte_s: float | None = None
    last_byte_s: float | None = None
    ended_s: float | None = None
    rate: float | None = None
    cause: Cause | None = None
    tries: list[AddressTry] = []
    tries_count: int = 0


class UnitSearch(msgspec.Struct, frozen=True):
    """One lookup of who holds a unit, the ``lookup``-th of that unit: of ``asked`` nodes so many
    ``answered``; ``found`` holders are known since, ``holders`` the first of those that this lookup
    named, and ``expired`` records were out of time.  ``told`` says in words how far it can be
    believed."""

    unit: str
    found: int
    told: str
    lookup: int = 1
    began_s: float = 0.0
    took_s: float | None = None
    asked: int = 0
    answered: int = 0
    expired: int = 0
    holders: list[str] = []


class FetchReport(msgspec.Struct, frozen=True):
    """What a fetch did in ``took_s``: its lookups, the last ones, and the holders, the most telling
    first; ``untold`` counts those left out by what went wrong with them ("" if nothing).

    Of ``units`` that were looked for, ``units_found`` have a holder or came from the store here.
    ``cause`` is what decided, where it failed, and ``doing`` what was under way when it ended.
    For ``limited_s`` it waited for its turn within ``limit_down`` of the node that fetches.
    """

    searches: list[UnitSearch] = []
    holders: list[HolderTimeline] = []
    untold: dict[str, int] = {}
    searches_count: int = 0
    holders_count: int = 0
    units: int = 0
    units_found: int = 0
    took_s: float = 0.0
    doing: str = ""
    cause: CauseKind | None = None
    limited_s: float = 0.0


NO_REPORT: Final = FetchReport()
