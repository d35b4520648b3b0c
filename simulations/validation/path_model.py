"""The production lookups over disjoint paths among colluders that grind ids as they like: a model
of the network, without one.

Honest nodes know up to K others of each length of shared prefix and name the K closest to the
target.  Colluders name nobody but K of their own beside the target, closer to it than anybody else:
whoever asks one asks nobody but colluders from then on, on the path on which that was.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.paths import DisjointLookup
from dhtstore.dht.engine.crawl import Search
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.params import ALPHA, NODE_ID_BYTES, PUBLIC_KEY_BYTES, K

_BITS = 8 * NODE_ID_BYTES
_BESIDE_BITS = 64  # of ids that are closer to a target than all of any network


class PathModel:
    """``nodes`` with random ids, of which the share ``malicious`` colludes."""

    def __init__(self, rng: random.Random, nodes: int, malicious: float) -> None:
        self._rng = rng
        self._peers = [_peer(rng.getrandbits(_BITS)) for _ in range(nodes)]
        hostile = rng.sample(self._peers, round(malicious * nodes))
        self._hostile = {peer.id for peer in hostile}
        self.honest = [peer for peer in self._peers if peer.id not in self._hostile]
        self._tables: dict[bytes, list[Peer]] = {}

    def success(self, paths: int, lookups: int, alpha: int = ALPHA) -> tuple[int, float]:
        """How many of ``lookups``, by honest nodes of random keys, ask the closest honest node,
        with ``alpha`` requests in flight; and how many nodes they ask in the mean."""
        found = asked = 0
        for _ in range(lookups):
            asker, target = self._rng.choice(self.honest), self._rng.getrandbits(_BITS)
            told = self._look_up(asker, target, paths, alpha)
            others = (peer for peer in self.honest if peer is not asker)
            found += min(others, key=lambda peer: peer.long_id ^ target).id in told
            asked += len(told)
        return found, asked / lookups

    def hops(self, lookups: int) -> dict[int, float]:
        """How many nodes a path without colluders asks, one after the other, up to the closest."""
        counts = dict[int, int]()
        for _ in range(lookups):
            asker, target = self._rng.choice(self._peers), self._rng.getrandbits(_BITS)
            hops = self._chain(asker, target)
            counts[hops] = counts.get(hops, 0) + 1
        return {hops: count / lookups for hops, count in counts.items()}

    def _chain(self, asker: Peer, target: int) -> int:
        best, hops = self._nearest(asker, target, 1)[0], 1
        while (named := self._nearest(best, target, 1)[0]).long_id ^ target < best.long_id ^ target:
            best, hops = named, hops + 1
        return hops

    def _look_up(self, asker: Peer, target: int, paths: int, alpha: int) -> set[bytes]:
        """Whom it asked."""
        search = self._search(asker, target, paths, alpha)
        beside = [_peer(target ^ self._rng.getrandbits(_BESIDE_BITS)) for _ in range(K)]
        hostile = self._hostile | {peer.id for peer in beside}
        told, now = set[bytes](), 0.0
        coming: list[tuple[float, int, Peer]] = []
        while True:
            for peer in search.next(now):
                told.add(peer.id)
                heapq.heappush(coming, (now + self._rng.uniform(0.04, 0.3), len(told), peer))
            if search.finished or not coming:
                return told
            now, _, peer = heapq.heappop(coming)
            named = beside if peer.id in hostile else self._nearest(peer, target, K)
            search.on_response(peer, named)

    def _search(self, asker: Peer, target: int, paths: int, alpha: int) -> Search:
        kind: Callable[..., Search] = partial(DisjointLookup, paths=paths) if paths > 1 else Lookup
        raw, seeds = target.to_bytes(NODE_ID_BYTES, "big"), self._nearest(asker, target, K)
        return kind(raw, seeds, own_id=asker.id, soft_timeout_s=1.0, alpha=alpha)

    def _nearest(self, peer: Peer, target: int, count: int) -> Sequence[Peer]:
        table = self._tables.get(peer.id)
        if table is None:
            table = self._tables[peer.id] = list(self._table(peer))
        return heapq.nsmallest(count, table, key=lambda one: one.long_id ^ target)

    def _table(self, own: Peer) -> Iterator[Peer]:
        buckets: dict[int, list[Peer]] = {}
        for peer in self._peers:
            if peer is not own:
                buckets.setdefault((peer.long_id ^ own.long_id).bit_length(), []).append(peer)
        for bucket in buckets.values():
            yield from self._rng.sample(bucket, min(K, len(bucket)))


def _peer(number: int) -> Peer:
    raw = number.to_bytes(NODE_ID_BYTES, "big")
    key = PublicKey(raw + bytes(PUBLIC_KEY_BYTES - NODE_ID_BYTES))
    return Peer(Contact(key, Address("10.0.0.1", 4001), NodeId(raw), storage=True), raw)
