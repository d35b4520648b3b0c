"""How safe each put is, as far as is known here: rows of lists with what was seen of holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dhtstore.model.contact import Address, subnet
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary, SafeState
from dhtstore.operations.moment import Moment
from dhtstore.params import NODE_ID_BYTES, SAFE_PROVED_S
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS, Periods
from dhtstore.store.ledger.listing.listing import ListedPut
from dhtstore.store.ledger.listing.places import HolderPlace

_SETS_REMEMBERED: Final = 4096
WatchedHolder = tuple[PublicKey, PeerPast, Address | None]


class Silence(NamedTuple):
    """Of a holder: when it was heard last, and from when on its copies are made again."""

    since_unix_s: float
    due_unix_s: float


class _Seen(NamedTuple):
    """Of one set of holders."""

    silent: int
    networks: int | None
    silence: Silence | None


_NOT_SEEN: Final = _Seen(0, None, None)


@dataclass(frozen=True, slots=True)
class Safety:
    """What is known beside the rows: which holders are ``silent``, by node id, and where all of
    them were met.  One for each list that is told, since time goes on."""

    now_unix_s: float
    places: Mapping[bytes, HolderPlace]
    silent: Mapping[bytes, Silence]
    _known: dict[bytes, _Seen] = field(default_factory=dict)

    def told(self, put: ListedPut) -> PutSummary:
        """The row as it is handed out."""
        seen = [self._seen(each) for each in put.sets] or [_NOT_SEEN]
        live = self._live(put, seen)
        silences = [each.silence for each in seen if each.silence]
        known = [each.networks for each in seen if each.networks is not None]
        state = self._state(put, live)
        first = min(silences, default=None)
        return PutSummary(
            put.name,
            put.cid,
            put.size,
            put.created,
            put.copies,
            put.replicas,
            put.expires,
            put.proved,
            state,
            live,
            min(known) if len(known) == len(seen) else None,
            Moment.at(first.since_unix_s) if first else None,
            Moment.at(min(each.due_unix_s for each in silences)) if silences else None,
        )

    def _live(self, put: ListedPut, seen: list[_Seen]) -> int:
        """Of the unit that has fewest."""
        sizes = [len(each) // NODE_ID_BYTES for each in put.sets] or [put.copies]
        counts = [size - each.silent for size, each in zip(sizes, seen, strict=True)]
        return max(0, min(put.copies, *counts))

    def _state(self, put: ListedPut, live: int) -> SafeState:
        if put.expires is not None and put.expires.unix_s <= self.now_unix_s:
            return "expired"
        if not put.copies:
            return "none"
        if put.copies < put.replicas:
            return "short"
        if live < put.replicas:
            return "silent"
        lately = put.proved and self.now_unix_s - put.proved.unix_s <= SAFE_PROVED_S
        return "safe" if lately else "believed"

    def _seen(self, holders: bytes) -> _Seen:
        seen = self._known.get(holders)
        if seen is None:
            if len(self._known) >= _SETS_REMEMBERED:
                self._known.clear()
            seen = self._known[holders] = self._look(holders)
        return seen

    def _look(self, holders: bytes) -> _Seen:
        steps = range(0, len(holders), NODE_ID_BYTES)
        nodes = [holders[at : at + NODE_ID_BYTES] for at in steps]
        silences = [self.silent[node] for node in nodes if node in self.silent]
        places = [self.places.get(node) for node in nodes if node not in self.silent]
        known = {place.network for place in places if place}
        networks = len(known) if all(places) else None
        first = min(silences, default=None)
        due_unix_s = min((each.due_unix_s for each in silences), default=0.0)
        silence = None if first is None else Silence(first.since_unix_s, due_unix_s)
        return _Seen(len(silences), networks, silence)


async def safety_known(
    disk: Disk,
    ledger: Ledger,
    now_unix_s: float,
    watched: Sequence[WatchedHolder] = (),
    periods: Periods = USUAL_PERIODS,
) -> Safety:
    """``watched`` are the other holders of what is held here.  Raises HomeUnusable."""
    places = await disk.blocking.run(ledger.places.all)
    silent: dict[bytes, Silence] = {}
    for key, past, place in watched:
        node = node_id(key)
        if place is not None:
            label = places[node].label if node in places else ""
            places[node] = HolderPlace(subnet(place), label)
        if past.silent_s:
            left_s = past.grace_s(periods) - past.silent_s
            silent[node] = Silence(past.heard_unix_s, now_unix_s + max(0.0, left_s))
    return Safety(now_unix_s, places, silent)
