"""How safe each put is, as far as is known here: rows of lists with what was seen of holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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

WatchedHolder = tuple[PublicKey, PeerPast, Address | None]


class Silence(NamedTuple):
    """Of a holder: when it was heard last, and from when on its copies are made again."""

    since_unix_s: float
    due_unix_s: float


class _Seen(NamedTuple):
    """Of one set of holders: how many are not silent, on how many networks those are (None where
    that is not known of one), and since when the others are."""

    live: int
    networks: int | None
    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class Safety:
    """What is known beside the rows: which holders are ``silent``, by node id, and where all of
    them were met.  One for each list that is told, since time goes on."""

    now_unix_s: float
    places: Mapping[bytes, HolderPlace]
    silent: Mapping[bytes, Silence]

    def told(self, put: ListedPut) -> PutSummary:
        """The row as it is handed out; lists have 100,000 of them."""
        seen = self._look(put.sets[0]) if len(put.sets) == 1 else self._worst(put)
        live = min(put.copies, seen.live)
        silence = seen.silence
        return PutSummary(
            put.name,
            put.cid,
            put.size,
            put.created,
            put.copies,
            put.replicas,
            put.expires,
            put.proved,
            self._state(put, live),
            live,
            seen.networks,
            Moment.at(silence.since_unix_s) if silence else None,
            Moment.at(silence.due_unix_s) if silence else None,
        )

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

    def _worst(self, put: ListedPut) -> _Seen:
        """Of several units: the fewest copies, on the fewest networks, and the longest silence."""
        if not put.sets:
            return _Seen(put.copies, None)
        seen = [self._look(each) for each in put.sets]
        networks = [each.networks for each in seen if each.networks is not None]
        silences = [each.silence for each in seen if each.silence]
        return _Seen(
            min(each.live for each in seen),
            min(networks) if len(networks) == len(seen) else None,
            _first(silences) if silences else None,
        )

    def _look(self, holders: bytes) -> _Seen:
        steps = range(0, len(holders), NODE_ID_BYTES)
        nodes = [holders[at : at + NODE_ID_BYTES] for at in steps]
        silences: list[Silence] = []
        if not self.silent.keys().isdisjoint(nodes):
            silences = [self.silent[node] for node in nodes if node in self.silent]
            nodes = [node for node in nodes if node not in self.silent]
        try:
            networks = len({self.places[node].network for node in nodes})
        except KeyError:
            return _Seen(len(nodes), None, _first(silences) if silences else None)
        return _Seen(len(nodes), networks, _first(silences) if silences else None)


def _first(silences: Sequence[Silence]) -> Silence:
    """The longest, and when the first of them is over."""
    return Silence(min(silences).since_unix_s, min(each.due_unix_s for each in silences))


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
