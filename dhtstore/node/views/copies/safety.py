"""How safe each put is, as far as is known here: rows of lists with what was seen of holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dhtstore.model.contact import Address, subnet
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, node_id
from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary, SafeState
from dhtstore.operations.moment import Moment
from dhtstore.params import NODE_ID_BYTES, SAFE_PROVED_S
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS, Periods
from dhtstore.replication.health.waiting import waits_s
from dhtstore.store.ledger.listing.listing import ListedPut
from dhtstore.store.ledger.listing.places import HolderPlace

WatchedHolder = tuple[PublicKey, PeerPast, Address | None]


class _HoldersSilence(NamedTuple):
    """Of some holders: since when one is silent, as far as that was observed, and from when on
    copies are made again; None where there are enough without them."""

    since_unix_s: float
    due_unix_s: float | None

    def due(self) -> Moment | None:
        return None if self.due_unix_s is None else Moment.at(self.due_unix_s)


class _Seen(NamedTuple):
    """Of one set of holders: how many are not silent, on how many networks those are (None where
    that is not known of one), and since when the others are."""

    live: int
    networks: int | None
    silence: _HoldersSilence | None = None


@dataclass(frozen=True, slots=True)
class Safety:
    """What is known beside the rows: which holders are ``silent``, by node id, with what was seen
    of them, and where all of them were met.  One for each list that is told, since time goes on."""

    now_unix_s: float
    places: Mapping[bytes, HolderPlace]
    silent: Mapping[bytes, PeerPast]
    periods: Periods = USUAL_PERIODS
    _silences: dict[tuple[int, int, tuple[bytes, ...]], _HoldersSilence] = field(
        default_factory=dict
    )

    def told(self, put: ListedPut) -> PutSummary:
        """The row as it is handed out; lists have 100,000 of them."""
        one = len(put.sets) == 1
        seen = self._look(put.sets[0], put.replicas) if one else self._worst(put)
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
            silence.due() if silence else None,
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
        seen = [self._look(each, put.replicas) for each in put.sets]
        networks = [each.networks for each in seen if each.networks is not None]
        silences = [each.silence for each in seen if each.silence]
        return _Seen(
            min(each.live for each in seen),
            min(networks) if len(networks) == len(seen) else None,
            _first(silences) if silences else None,
        )

    def _look(self, holders: bytes, target: int) -> _Seen:
        steps = range(0, len(holders), NODE_ID_BYTES)
        nodes, silence = [holders[at : at + NODE_ID_BYTES] for at in steps], None
        if not self.silent.keys().isdisjoint(nodes):
            away = tuple(node for node in nodes if node in self.silent)
            nodes = [node for node in nodes if node not in self.silent]
            silence = self._silence(len(nodes), target, away)
        try:
            networks = len({self.places[node].network for node in nodes})
        except KeyError:
            return _Seen(len(nodes), None, silence)
        return _Seen(len(nodes), networks, silence)

    def _silence(self, live: int, target: int, away: tuple[bytes, ...]) -> _HoldersSilence:
        """Many rows have the same holders."""
        known = self._silences.get((live, target, away))
        if known is None:
            since_unix_s = self.now_unix_s - max(self.silent[node].silent_s for node in away)
            known = _HoldersSilence(since_unix_s, self._due_unix_s(live, target, away))
            self._silences[live, target, away] = known
        return known

    def _due_unix_s(self, live: int, target: int, away: Sequence[bytes]) -> float | None:
        """As a holder judges it that is one of the ``live``; in which turn is left away."""
        there = [PeerPast.met(self.now_unix_s)] * max(0, live - 1)
        pasts = [*there, *(self.silent[node] for node in away)]
        copies = [Copy(NodeId(b""), past, proven_unix_s=self.now_unix_s) for past in pasts]
        health = Health(DhtKey(b""), NodeId(b""), target, copies, self.periods)
        if health.counted < health.least:
            return self.now_unix_s
        left_s = waits_s(health)
        return None if left_s is None else self.now_unix_s + left_s


def _first(silences: Sequence[_HoldersSilence]) -> _HoldersSilence:
    """The longest, and when a copy is made again first."""
    due_unix_s = [each.due_unix_s for each in silences if each.due_unix_s is not None]
    return _HoldersSilence(
        min(each.since_unix_s for each in silences), min(due_unix_s, default=None)
    )


async def safety_known(
    disk: Disk,
    ledger: Ledger,
    now_unix_s: float,
    watched: Sequence[WatchedHolder] = (),
    periods: Periods = USUAL_PERIODS,
) -> Safety:
    """``watched`` are the other holders of what is held here.  Raises HomeUnusable."""
    places = await disk.blocking.run(ledger.places.all)
    silent: dict[bytes, PeerPast] = {}
    for key, past, place in watched:
        node = node_id(key)
        if place is not None:
            label = places[node].label if node in places else ""
            places[node] = HolderPlace(subnet(place), label)
        if past.silent_s:
            silent[node] = past
    return Safety(now_unix_s, places, silent, periods)
