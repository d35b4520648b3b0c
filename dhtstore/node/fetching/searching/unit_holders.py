"""What is known of the holders of one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.fetching.search import SearchExtent
from dhtstore.operations.explaining.report import FOUND_TOLD_MAX, UnitSearch
from dhtstore.params import LOOKUPS_PER_UNIT_MAX, PROVIDERS_PER_KEY_MAX

NOT_SEARCHED: Final = UnitSearch("", 0, "")


@dataclass(slots=True)
class UnitHolders:
    """What is known of one unit's holders."""

    unit: Unit
    keys: dict[PublicKey, None] = field(default_factory=dict)  # that have a link
    busy: dict[PublicKey, None] = field(default_factory=dict)  # that are dialled again later
    found: dict[PublicKey, None] = field(default_factory=dict)  # ever, reached or not
    news: bool = False  # whether the last search found somebody that none had found before
    searching: bool = False
    searches: int = 0  # since the last block of this unit
    lookups: int = 0  # in all
    begun_s: float = 0.0  # when the last search began
    extent: str = ""  # how far the last search can be believed, if it found nobody
    unreachable: str = ""  # why the last search asked nobody
    last_search: UnitSearch = NOT_SEARCHED
    met: bool = False  # whether a block of it came, from wherever

    def told(
        self, now_s: float, extent: SearchExtent | None = None, named: Sequence[str] = ()
    ) -> UnitSearch:
        """What came of the last search, which reached so far and ``named`` these, or of the one
        that is under way."""
        told = "the search is not over" if self.searching else self.unreachable or self.extent
        return UnitSearch(
            unit_text(self.unit.name),
            len(self.found),
            told,
            lookup=self.lookups,
            began_s=self.begun_s,
            took_s=None if self.searching else now_s - self.begun_s,
            asked=extent.asked if extent else 0,
            answered=extent.answered if extent else 0,
            expired=extent.expired if extent else 0,
            holders=list(named[:FOUND_TOLD_MAX]),
        )

    @property
    def exhausted(self) -> bool:
        """Whether there were enough searches: while they find others, those are asked too, up to
        as many as index nodes keep."""
        more = self.news and len(self.found) < PROVIDERS_PER_KEY_MAX
        return self.searches >= LOOKUPS_PER_UNIT_MAX and not more
