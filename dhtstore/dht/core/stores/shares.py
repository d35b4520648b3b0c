"""Who gives way in a full store, found without looking at all of it.

The most crowded origin or publisher gives way to all that are less crowded: whoever brings many
takes only what nobody else wants.  Of one crowd those that cannot be reached go first, then those
of the keys farthest from us, which others keep as well.  Every step costs the same however many
records there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.dht.core.stores.held import HeldRecord


class _Crowd:
    """The records of one origin or publisher, by rank."""

    __slots__ = ("by_rank", "count")

    def __init__(self) -> None:
        self.by_rank: dict[int, dict[HeldRecord, None]] = {}
        self.count = 0

    def last(self) -> HeldRecord:
        """The oldest of the lowest rank; there are at most 322 ranks."""
        return next(iter(self.by_rank[min(self.by_rank)]))


class Shares:
    """Counts records by the crowds they are in (``HeldRecord.crowds``)."""

    __slots__ = ("_by_count", "_crowds", "_most")

    def __init__(self) -> None:
        self._crowds: dict[bytes, _Crowd] = {}
        self._by_count: dict[int, dict[bytes, None]] = {}
        self._most = 0

    def enter(self, held: HeldRecord) -> None:
        """``held`` was put into the store; its crowds and rank stay until it leaves."""
        for name in held.crowds:
            crowd = self._crowds.get(name)
            if crowd is None:
                crowd = self._crowds[name] = _Crowd()
            crowd.by_rank.setdefault(held.rank, {})[held] = None
            self._recount(name, crowd, 1)

    def leave(self, held: HeldRecord) -> None:
        """``held`` goes from the store."""
        for name in held.crowds:
            crowd = self._crowds[name]
            same = crowd.by_rank[held.rank]
            del same[held]
            if not same:
                del crowd.by_rank[held.rank]
            self._recount(name, crowd, -1)

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

    def giving_way(self, crowds: Sequence[bytes], rank: int) -> HeldRecord | None:
        """Who makes room for a newcomer of these crowds and that rank; None if it is itself the
        first to go."""
        last = self.most_crowded()
        fullest = max(crowds, key=self._count, default=b"")
        if last is None or self._count(fullest) + 1 < self._most:
            return last
        if self._count(fullest) == self._most:
            last = self._crowds[fullest].last()
        return last if last.rank < rank else None

    def most_crowded(self) -> HeldRecord | None:
        """The first to go, whoever comes; None if nobody is here."""
        fullest = self._by_count.get(self._most)
        return self._crowds[next(iter(fullest))].last() if fullest else None

    def _count(self, name: bytes) -> int:
        crowd = self._crowds.get(name)
        return crowd.count if crowd is not None else 0
