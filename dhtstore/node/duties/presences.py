"""Whom this node has seen to be there, and for how long: by that copies are placed.

Nobody is asked for it: entries of the routing table are pinged hourly by its upkeep, fellow holders
by repair.  A look an hour adds up when they answered last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dhtstore.dht.service import PeerInfo
from dhtstore.model.contact import Contact
from dhtstore.model.identity import NodeId
from dhtstore.net.ports import Blocking, Clock
from dhtstore.params import MOVE_ASKED_LOOKS, PRESENCE_LOOK_S, PRESENCES_MAX, ROOM_TOLD_S
from dhtstore.replication.presence import Presence
from dhtstore.replication.ranking import Merit
from dhtstore.replication.repair.moving import Fill
from dhtstore.store.ledger.peers import SeenPeers, SeenRow, SeenRows

T = TypeVar("T")
_UNSEEN_MAX_S = 2 * PRESENCE_LOOK_S  # of time between two looks that counts: else we were asleep


class HeardPeers(Protocol):
    """As much of the DHT as this needs."""

    def peers(self) -> Sequence[PeerInfo]: ...


@dataclass(slots=True)
class Presences:
    """``fellows`` are nodes that are pinged beside the table, and how long ago they answered.
    ``watched_s`` is for how long this node has watched: its own absences do not count."""

    dht: HeardPeers
    clock: Clock
    blocking: Blocking
    ledger: SeenPeers
    fellows: Callable[[], Iterable[tuple[NodeId, float]]] = tuple
    watched_s: float = 0.0
    _seen: dict[NodeId, Presence] = field(default_factory=dict)
    _rooms: dict[NodeId, tuple[int, float]] = field(default_factory=dict)
    _fills: dict[NodeId, tuple[Fill, float]] = field(default_factory=dict)
    _looked_s: float | None = None

    async def run(self) -> None:
        """Forever.  Raises NoRoom, HomeUnusable."""
        if self._looked_s is None:
            await self._load()
        while True:
            await asyncio.sleep(PRESENCE_LOOK_S)
            self.look()
            await self._save()

    async def _load(self) -> None:
        self.watched_s, rows = await self.blocking.run(self.ledger.load)
        self._seen = {NodeId(node): Presence(*times) for node, *times in rows}
        self._looked_s = self.clock.monotonic_s()

    async def _save(self) -> None:
        rows = [SeenRow(node, one.heard_s, one.there_s, one.away_s) for node, one in self._all()]
        await asyncio.shield(self.blocking.run(self.ledger.save, SeenRows(self.watched_s, rows)))

    def _all(self) -> Iterable[tuple[NodeId, Presence]]:
        return self._seen.items()

    def look(self) -> None:
        """Take down who was heard since the last look.  Where nobody was, nothing passed: it is our
        own line that is silent."""
        now_s = self.clock.monotonic_s()
        passed_s = min(now_s - (now_s if self._looked_s is None else self._looked_s), _UNSEEN_MAX_S)
        self._looked_s = now_s
        heard = dict(self._heard())
        if not any(ago_s < passed_s for ago_s in heard.values()):
            return
        self.watched_s += passed_s
        for node, ago_s in heard.items():
            at_s = max(0.0, self.watched_s - ago_s)
            before = self._seen.get(node)
            self._seen[node] = Presence(at_s) if before is None else before.heard(at_s)
        self._forget()

    def _heard(self) -> Iterable[tuple[NodeId, float]]:
        yield from self.fellows()
        for one in self.dht.peers():
            if one.contact.storage:
                yield one.contact.node, one.last_seen_s

    def _forget(self) -> None:
        """Those heard last stay."""
        if len(self._seen) > PRESENCES_MAX:
            latest = sorted(self._all(), key=lambda pair: pair[1].heard_s, reverse=True)
            self._seen = dict(latest[:PRESENCES_MAX])

    # --- what is known ------------------------------------------------------------------------

    def merits(self, contacts: Iterable[Contact]) -> Mapping[NodeId, Merit]:
        """Of nodes that have just answered."""
        return {one.node: self.merit(one.node) for one in contacts}

    def merit(self, node: NodeId) -> Merit:
        """Of one that has just answered: an absence, if there was one, is over."""
        now_s = self.clock.monotonic_s()
        passed_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, _UNSEEN_MAX_S)
        at_s, before = self.watched_s + passed_s, self._seen.get(node)
        told_bytes, told_s = self._rooms.get(node, (None, now_s))
        room_bytes = told_bytes if now_s - told_s <= ROOM_TOLD_S else None
        return Merit(Presence(at_s) if before is None else before.heard(at_s), room_bytes)

    def told_room(self, node: NodeId, room_bytes: int | None) -> None:
        """It said so of itself."""
        if room_bytes is not None:
            _note(self._rooms, node, (room_bytes, self.clock.monotonic_s()))

    def told_fill(self, node: NodeId, fill: Fill) -> None:
        """It said so of itself."""
        _note(self._fills, node, (fill, self.clock.monotonic_s()))

    def fill(self, node: NodeId, look_s: float) -> Fill | None:
        """As it said within the last MOVE_ASKED_LOOKS."""
        fill, told_s = self._fills.get(node, (None, 0.0))
        return fill if self.clock.monotonic_s() - told_s <= MOVE_ASKED_LOOKS * look_s else None


def _note(known: dict[NodeId, T], node: NodeId, value: T) -> None:
    """The newest last, the oldest gone where they are too many."""
    known.pop(node, None)
    known[node] = value
    if len(known) > PRESENCES_MAX:
        del known[next(iter(known))]
