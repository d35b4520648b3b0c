"""When a unit's holders are looked for again though there are some.  Pure.

Whoever comes back, or has just got a copy, is announced while a fetch runs.  Looks become rarer
with each that brings nobody new, so a fetch that lasts long asks the DHT no more than a few times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dhtstore.node.fetching.searching.unit_holders import UnitHolders
from dhtstore.params import (
    HOLDER_STALL_S,
    HOLDERS_LOOKED_FOR_FIRST_S,
    HOLDERS_LOOKED_FOR_MAX_S,
    HOLDERS_SILENT_LOOK_MAX_S,
    HOLDERS_SILENT_S,
    PROVIDERS_ASKED,
)


@dataclass(slots=True)
class FurtherLooks:
    """Those for one unit.  ``heard_s`` is when a block of it came last, or when the first was
    wanted; ``looked_s`` when holders were looked for last; ``pause_s`` what is waited between two
    looks while all is well."""

    heard_s: float
    looked_s: float
    pause_s: float = HOLDERS_LOOKED_FOR_FIRST_S
    silent_pause_s: float = HOLDERS_SILENT_S

    def heard(self, now: float) -> None:
        """A block came."""
        self.heard_s = now

    def due(self, now: float, *, lively: int) -> bool:
        """Whether to look now, for a fetch that has room for what would come; ``lively`` is how
        many holders answer."""
        waited_s = now - self.looked_s
        if now - self.heard_s >= HOLDERS_SILENT_S:
            return waited_s >= self.silent_pause_s
        return lively < PROVIDERS_ASKED and waited_s >= self.pause_s

    def looks(self, now: float) -> None:
        """There is a look now: the next is the later."""
        if now - self.heard_s >= HOLDERS_SILENT_S:
            self.silent_pause_s = min(2 * self.silent_pause_s, HOLDERS_SILENT_LOOK_MAX_S)
        self.looked_s = now
        self.pause_s = min(2 * self.pause_s, HOLDERS_LOOKED_FOR_MAX_S)

    def ended(self, now: float, *, news: bool) -> None:
        """A look is over; where one has come, more may come."""
        self.looked_s = now
        if news:
            self.pause_s, self.silent_pause_s = HOLDERS_LOOKED_FOR_FIRST_S, HOLDERS_SILENT_S


class LooksAround:
    """Those of all units of a fetch.  Silence is looked for several times in HOLDER_STALL_S."""

    def __init__(self) -> None:
        self._of: dict[bytes, FurtherLooks] = {}
        self._next_s = 0.0

    def begin(self, name: bytes, now: float) -> None:
        """Blocks of this unit are wanted from now on."""
        self._of[name] = FurtherLooks(now, now)

    def heard(self, name: bytes, now: float) -> None:
        """A block of it came."""
        self._of[name].heard(now)

    def ended(self, known: UnitHolders, now: float) -> None:
        """A search is over; of a unit that is not wanted yet, maybe."""
        if known.unit.name in self._of:
            self._of[known.unit.name].ended(now, news=known.news)

    def soon(self) -> None:
        """Something has changed: look around at once."""
        self._next_s = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until it is time to look around."""
        return max(0.0, self._next_s - now)

    def around(
        self, lively: Mapping[bytes, int], units: Mapping[bytes, UnitHolders], now: float
    ) -> list[UnitHolders]:
        """The units to search holders for now: of those wanted, which have so many ``lively``."""
        self._next_s = now + HOLDER_STALL_S / 4
        found: list[UnitHolders] = []
        for name, count in lively.items():
            if not units[name].searching and self._of[name].due(now, lively=count):
                self._of[name].looks(now)
                found.append(units[name])
        return found
