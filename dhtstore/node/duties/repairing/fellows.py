"""The other holders of what is held here: whether they answer, and where.

Who was heard by the DHT anyway is not asked again.  Silence counts only while somebody at all is
heard: a node whose own line is down blames nobody.  Where no holder answers, others of the table
are asked, too; where there are none, that it is down shows only once nobody was heard for a while:
what was taken for silence meanwhile is taken back then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Protocol

from dhtstore.dht.service import PeerInfo
from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address, Contact, routable
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.net.ports import Blocking, Clock
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.params import (
    FELLOW_PINGS_AT_ONCE,
    FELLOWS_UNMET_ASKED_MAX,
    LINE_ASKED_MAX,
    RPC_TIMEOUT_MAX_S,
)
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import Periods
from dhtstore.replication.repair.losing import LossRate
from dhtstore.store.ledger.health.fellows import FellowRow, Fellows, ForgottenRow
from dhtstore.tasks import run_all


class Pings(Protocol):
    """As much of the DHT as this needs."""

    async def ping(self, contact: Contact, timeout_s: float) -> float: ...

    def peers(self) -> Sequence[PeerInfo]: ...

    def address_of(self, node: NodeId) -> Address | None: ...


@dataclass(slots=True)
class Fellow:
    """One of them; ``rtt_s`` as measured last."""

    past: PeerPast
    place: Address | None = None
    rtt_s: float = RPC_TIMEOUT_MAX_S


@dataclass(slots=True)
class KnownFellows:
    """All of them, in memory.  ``proved_ago_s`` is how long ago a provider
    whose records are kept here proved that it lives, None if that is not known."""

    dht: Pings
    proved_ago_s: Callable[[bytes], float | None]
    clock: Clock
    blocking: Blocking
    ledger: Fellows
    notes: Notes
    periods: Periods
    _known: dict[PublicKey, Fellow] = field(default_factory=dict)
    _changed: dict[PublicKey, None] = field(default_factory=dict)
    _forgotten: ForgottenRow = field(default_factory=ForgottenRow)
    _meets: int = FELLOWS_UNMET_ASKED_MAX
    _doubted: dict[PublicKey, PeerPast] = field(default_factory=dict)  # as if not asked since
    _doubted_s: float = 0.0

    async def load(self) -> None:
        """Raises HomeUnusable."""
        rows = await self.blocking.run(lambda: list(self.ledger.all()))
        self._forgotten = await self.blocking.run(self.ledger.forgotten)
        for key, row in rows:
            place = Address(row.host, row.port)
            known = place if routable(place) else None  # it may be damaged
            self._known[PublicKey(key)] = Fellow(_past(row), known)

    def of(self, key: PublicKey) -> Fellow:
        """It; taken for alive where it was not known before."""
        fellow = self._known.get(key)
        if fellow is None:
            fellow = self._known[key] = Fellow(PeerPast.met(self.clock.unix_s()))
            self._changed[key] = None
        return fellow

    def known(self) -> list[tuple[PublicKey, PeerPast, Address | None]]:
        """All of them, with what was seen of each and where."""
        return [(key, each.past, each.place) for key, each in self._known.items()]

    def told(self, key: PublicKey, places: Sequence[Address]) -> None:
        """Somebody says that it is there, and where: that is no word of it."""
        fellow = self.of(key)
        if places and fellow.place not in places:
            fellow.place = places[0]
            self._changed[key] = None

    def answered(self, key: PublicKey) -> None:
        """It proved just now that it is alive."""
        self._doubted.clear()
        fellow = self.of(key)
        fellow.past = fellow.past.answered(self.clock.unix_s(), self.periods.gap_max_s)
        self._changed[key] = None

    def heard_ago(self) -> Iterator[tuple[NodeId, float]]:
        """How long ago each of them answered that ever did."""
        now = self.clock.unix_s()
        for key, fellow in self._known.items():
            if fellow.past.ever_answered:
                yield node_id(key), max(0.0, now - fellow.past.heard_unix_s)

    def places(self, contact: Contact) -> list[Address]:
        """Where to dial it: where it was heard last comes first."""
        fellow, heard = self.of(contact.public_key), self.dht.address_of(contact.node)
        return list(dict.fromkeys(each for each in (heard, fellow.place) if each is not None))

    def contacts(self, keys: Iterable[PublicKey]) -> list[Contact]:
        """Storage nodes, of those of whom it is known where they are."""
        return [Contact.of(key, at, storage=True) for key in keys if (at := self._place(key))]

    async def look(self) -> None:
        """Ask those of whom nothing was heard for a while."""
        self._meets = FELLOWS_UNMET_ASKED_MAX
        heard = {one.contact.public_key: one for one in self.dht.peers()}
        due = self._first([key for key in list(self._known) if self._is_due(key, heard.get(key))])
        answered = await self._pinged(due)
        heard_ago_s = min((one.last_seen_s for one in heard.values()), default=inf)
        alive = bool(answered) or await self._line_up(due, heard_ago_s)
        self._doubt(0.0 if answered else heard_ago_s, alive=alive)
        for key in due:
            self._settle(key, answered, alive=alive)

    async def _line_up(self, asked: Collection[PublicKey], heard_ago_s: float) -> bool:
        """Whether others are heard, though none of ``asked`` answers; the last was so long ago."""
        others = await _others_answer(self.dht, asked) if asked else None
        return heard_ago_s < self.periods.ping_s if others is None else others

    def _doubt(self, heard_ago_s: float, *, alive: bool) -> None:
        """Where nobody is heard, nobody was silent since somebody was."""
        now_s = self.clock.monotonic_s()
        heard_since = now_s - heard_ago_s > self._doubted_s
        if not alive and not heard_since:
            for key, past in self._doubted.items():
                if key in self._known:
                    self._known[key].past = past
                    self._changed[key] = None
        if not alive or heard_since:
            self._doubted.clear()
            self._doubted_s = now_s

    def _first(self, due: Sequence[PublicKey]) -> list[PublicKey]:
        """All that ever answered, and of the others, whose keys cost nothing, the longest unasked:
        a round waits for each that is silent."""
        pasts = {key: self.of(key).past for key in due}
        met = [key for key in due if pasts[key].ever_answered]
        unmet = [key for key in due if not pasts[key].ever_answered]
        unmet.sort(key=lambda key: pasts[key].asked_unix_s)
        return met + unmet[:FELLOWS_UNMET_ASKED_MAX]

    def answers(self, key: PublicKey) -> bool:
        """Whether it did when it was asked last."""
        past = self.of(key).past
        return past.ever_answered and not past.silent_s

    async def ask(self, keys: Collection[PublicKey], *, again: bool = False) -> set[PublicKey]:
        """Ask those that were silent, or were not asked in this turn, once more, or ``again`` all:
        who answers is back, and who does not, though others do, went.  Those that answer."""
        turn_s = 0.0 if again else self.periods.turn_s
        due = [key for key in keys if not (self.answers(key) and self._asked_within(key, turn_s))]
        answered = await self._pinged(due)
        if answered or (due and await _others_answer(self.dht, due)):
            self._doubted.clear()
            for key in due:
                if key in answered or self.answers(key):
                    self._settle(key, answered, alive=True)
        return answered.union(key for key in keys if key not in due)

    async def meet(self, keys: Iterable[PublicKey]) -> None:
        """Ask those that never answered, so many between two looks: who does may be audited."""
        unmet = [key for key in keys if not self.of(key).past.ever_answered][: self._meets]
        self._meets -= len(unmet)
        answered = await self._pinged(unmet)
        for key in unmet:
            if key in answered:
                self.answered(key)

    async def _pinged(self, keys: Iterable[PublicKey]) -> set[PublicKey]:
        """Those that answer."""
        answered: set[PublicKey] = set()
        work = [partial(self._ping, key, answered) for key in keys]
        await run_all(work, limit=FELLOW_PINGS_AT_ONCE)
        return answered

    def _is_due(self, key: PublicKey, heard: PeerInfo | None) -> bool:
        """Whether to ask it.  When the DHT heard it is written down first: an index node pings the
        providers of its keys every few minutes, and so sees sessions between two of our pings."""
        fellow, now = self.of(key), self.clock.unix_s()
        proved_ago_s = self.proved_ago_s(key)
        if heard is not None:
            fellow.place = heard.contact.address
            fellow.rtt_s = heard.rtt_s or fellow.rtt_s
            proved_ago_s = min(heard.last_seen_s, proved_ago_s or heard.last_seen_s)
        if proved_ago_s is not None and now - proved_ago_s > fellow.past.heard_unix_s:
            fellow.past = fellow.past.answered(now - proved_ago_s, self.periods.gap_max_s)
            self._changed[key] = None
        return not self._asked_within(key, self.periods.ping_s * 0.9)

    def _asked_within(self, key: PublicKey, period_s: float) -> bool:
        return 0 <= self.clock.unix_s() - self.of(key).past.asked_unix_s < period_s

    async def _ping(self, key: PublicKey, answered: set[PublicKey]) -> None:
        place = self._place(key)
        rtt_s = await _rtt_s(self.dht, Contact.of(key, place)) if place else None
        if rtt_s is not None:
            self.of(key).rtt_s = rtt_s
            answered.add(key)

    def _place(self, key: PublicKey) -> Address | None:
        """Where it was heard last, for it may have moved; else where it is said to be."""
        return self.dht.address_of(node_id(key)) or self.of(key).place

    def _settle(self, key: PublicKey, answered: Collection[PublicKey], *, alive: bool) -> None:
        fellow, now = self.of(key), self.clock.unix_s()
        if key in answered:
            fellow.past = fellow.past.answered(now, self.periods.gap_max_s)
        elif alive:
            self._doubted.setdefault(key, fellow.past.unseen(now))
            fellow.past = fellow.past.silent(now, self.periods.gap_max_s)
        else:
            fellow.past = fellow.past.unseen(now)
        self._changed[key] = None

    async def save(self, keep: Collection[PublicKey]) -> None:
        """Write down what has changed, and forget those that hold nothing of ours any more."""
        gone = [key for key in self._known if key not in keep]
        for key in gone:
            self._forgotten = _with(self._forgotten, self._known.pop(key).past, self.periods)
        rows: dict[bytes, FellowRow] = {
            key: _row(self._known[key]) for key in self._changed if key in self._known
        }
        forgotten = self._forgotten if gone else None
        save = partial(self.ledger.save, rows, gone, forgotten)
        if await self.notes.write(save):
            self._changed.clear()

    def losses(self) -> LossRate:
        """How often those that were watched so far were lost for good."""
        seen = self._forgotten
        for each in self._known.values():
            seen = _with(seen, each.past, self.periods)
        return LossRate(seen.watched_s, seen.gone)


async def _others_answer(dht: Pings, asked: Collection[PublicKey]) -> bool | None:
    """Whether somebody else does who was heard lately; None where there is nobody else."""
    others = [one for one in dht.peers() if one.contact.public_key not in asked]
    others.sort(key=lambda one: one.last_seen_s)
    work = [partial(_rtt_s, dht, one.contact) for one in others[:LINE_ASKED_MAX]]
    rtts_s = await run_all(work, limit=LINE_ASKED_MAX)
    return any(each is not None for each in rtts_s) if work else None


async def _rtt_s(dht: Pings, contact: Contact) -> float | None:
    """None where it does not answer."""
    try:
        return await dht.ping(contact, 2 * RPC_TIMEOUT_MAX_S)
    except DhtstoreError:
        return None


def _with(seen: ForgottenRow, past: PeerPast, periods: Periods) -> ForgottenRow:
    gone = past.ever_answered and past.silent_s >= past.grace_s(periods)
    return ForgottenRow(seen.watched_s + max(0.0, past.watched_s), seen.gone + gone)


def _row(fellow: Fellow) -> FellowRow:
    past, place = fellow.past, fellow.place or Address("", 0)
    return FellowRow(
        past.known_unix_s,
        past.heard_unix_s,
        past.asked_unix_s,
        past.silent_s,
        past.away_s,
        place.host,
        place.port,
        past.absent_s,
        past.unwatched_s,
        weighed=True,
    )


def _past(row: FellowRow) -> PeerPast:
    past = PeerPast(
        row.known_unix_s,
        row.heard_unix_s,
        row.asked_unix_s,
        row.silent_s,
        row.away_s,
        row.absent_s,
        row.unwatched_s,
    )
    return past if row.weighed else past.weighed()
