"""Places for a bounded number of records, and who keeps one where there are none left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dhtstore.dht.core.stores.held import Expiry, HeldRecord, name_of
from dhtstore.dht.core.stores.shares import Shares

_ENDED_PER_TICK: Final = 128  # so that records that end together do not stop the node


class Places:
    """``room`` places.  Records of our own site give way to each other only."""

    __slots__ = ("_expiry", "_ours", "_room", "_strangers", "changed", "count")

    def __init__(self, room: int) -> None:
        self._room, self.count = room, 0
        self.changed: dict[bytes, None] | None = None  # names of what came or went, if asked for
        self._expiry = Expiry()
        self._ours, self._strangers = Shares(), Shares()

    def enter(self, held: HeldRecord) -> None:
        """There must be a place, see ``giving_way``."""
        self.count += 1
        self._expiry.add(held)
        self._of(held).enter(held)
        if self.changed is not None:
            self.changed[name_of(held.record)] = None

    def leave(self, held: HeldRecord) -> None:
        self.count -= 1
        self._expiry.remove(held)
        self._of(held).leave(held)
        if self.changed is not None:
            self.changed[name_of(held.record)] = None

    def ended(self, now: float) -> Iterator[HeldRecord]:
        """Records that ended by ``now`` (monotonic seconds), some of them; each is to leave."""
        return self._expiry.due(now, _ENDED_PER_TICK)

    @property
    def crowded(self) -> bool:
        """Whether half of the places are taken: from then on sources must be proved."""
        return self.count * 2 >= self._room

    @property
    def full(self) -> bool:
        return self.count >= self._room

    def giving_way(self, crowd: bytes, rank: int, *, ours: bool) -> HeldRecord | None:
        """Who makes room in a full store for a newcomer; None if nobody does."""
        if ours and (stranger := self._strangers.most_crowded()) is not None:
            return stranger
        return (self._ours if ours else self._strangers).giving_way(crowd, rank)

    def _of(self, held: HeldRecord) -> Shares:
        return self._ours if held.standing.ours else self._strangers
