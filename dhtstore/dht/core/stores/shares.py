"""Who gives way in a full store, found without looking at all of it.

The most crowded origin gives way to all that are less crowded: whoever brings many takes only what
nobody else wants.  Of one crowd those that cannot be reached go first, then those
of the keys farthest from us, which others keep as well.  Every step costs the same however many
records there are.
"""

from __future__ import annotations

from dhtstore.dht.core.stores.held import HeldRecord


class _Crowd:
    """The records of one origin, or of one publisher of our own site, by rank."""

    __slots__ = ("by_rank", "count")

    def __init__(self) -> None:
        self.by_rank: dict[int, dict[HeldRecord, None]] = {}
        self.count = 0

    def last(self) -> HeldRecord:
        """The oldest of the lowest rank; there are at most 322 ranks."""
        return next(iter(self.by_rank[min(self.by_rank)]))


class Shares:
    """Counts records by the crowd they are in."""

    __slots__ = ("_by_count", "_crowds", "_most")

    def __init__(self) -> None:
        self._crowds: dict[bytes, _Crowd] = {}
        self._by_count: dict[int, dict[bytes, None]] = {}
        self._most = 0

    def enter(self, held: HeldRecord) -> None:
        """``held`` was put into the store; its crowd and rank stay until it leaves."""
        crowd = self._crowds.get(held.crowd)
        if crowd is None:
            crowd = self._crowds[held.crowd] = _Crowd()
        crowd.by_rank.setdefault(held.rank, {})[held] = None
        self._recount(held.crowd, crowd, 1)

    def leave(self, held: HeldRecord) -> None:
        """``held`` goes from the store."""
        crowd = self._crowds[held.crowd]
        same = crowd.by_rank[held.rank]
        del same[held]
        if not same:
            del crowd.by_rank[held.rank]
        self._recount(held.crowd, crowd, -1)

    def _recount(self, name: bytes, crowd: _Crowd, change: int) -> None:
        if crowd.count:
            del self._by_count[crowd.count][name]
            if not self._by_count[crowd.count]:
                del self._by_count[crowd.count]
        crowd.count += change
        if crowd.count:
            self._by_count.setdefault(crowd.count, {})[name] = None
        else:
            del self._crowds[name]
        # Counts change one by one, so the highest is the same or next to it.
        self._most = max(self._most, crowd.count)
        if self._most not in self._by_count:
            self._most = max(self._most - 1, 0)

    def giving_way(self, crowd: bytes, rank: int) -> HeldRecord | None:
        """Who makes room for a newcomer of that crowd and rank; None if it is itself the first to
        go."""
        last, own = self.most_crowded(), self._crowds.get(crowd)
        count = own.count if own is not None else 0
        if last is None or count + 1 < self._most:
            return last
        if own is not None and count == self._most:
            last = own.last()
        return last if last.rank < rank else None

    def most_crowded(self) -> HeldRecord | None:
        """The first to go, whoever comes; None if nobody is here."""
        fullest = self._by_count.get(self._most)
        return self._crowds[next(iter(fullest))].last() if fullest else None
