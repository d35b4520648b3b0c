"""The routing table: kademlia's, with its failings replaced (Kademlia sections 2.4 and 4.1).

Buckets are indexed by the length of the prefix shared with our own id, so there are at most 160
and none is ever split.  Only nodes that answered our own request get in; whoever is heard moves
to the tail; a full bucket's head is pinged before it may be replaced.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Final

from kademlia.node import Node
from kademlia.routing import KBucket, RoutingTable

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.snapshot import BucketSnapshot, TableEntry, TableSnapshot
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    BUCKET_REPLACEMENTS_MAX,
    NODE_ID_BYTES,
    NODES_PER_IP_MAX,
    PEER_FAILURES_MAX,
    K,
)

_BITS: Final = 8 * NODE_ID_BYTES
QUESTIONABLE_AFTER_S: Final = 900.0  # BEP 5: a node not heard for 15 minutes is questionable


class Bucket(KBucket):
    """Peers that share one prefix length with us, least recently heard first.

    Lists instead of the library's two OrderedDicts: a quarter of the memory.  ``ids``, ``heard_s``,
    ``srtt_s``, ``rttvar_s``, ``failures`` and ``trusts`` (it needs no padding from us, having
    proved our address) run parallel to ``peers``.
    """

    def __init__(self, ksize: int, now: float) -> None:
        self.ksize = ksize
        self.peers: list[Peer] = []
        self.ids: list[bytes] = []
        self.replacements: list[Peer] = []
        self.heard_s = array("d")
        self.srtt_s = array("f")
        self.rttvar_s = array("f")
        self.failures = bytearray()
        self.trusts = bytearray()
        self.last_updated = now

    def __len__(self) -> int:
        return len(self.peers)

    def get_nodes(self) -> list[Peer]:
        return list(self.peers)

    def head(self) -> Peer:
        return self.peers[0]

    def index(self, node_id: bytes) -> int:
        """-1 if the node is not here."""
        return self.ids.index(node_id) if node_id in self.ids else -1

    def is_new_node(self, node: Node) -> bool:
        return self.index(node.id) < 0

    def heard(self, index: int, peer: Peer, now: float, rtt_s: float | None, trusts: bool) -> None:
        """Move an entry to the tail, with its present address and RTT (RFC 6298 section 2)."""
        srtt, var = self.srtt_s[index], self.rttvar_s[index]
        if rtt_s is not None:
            var = 0.75 * var + 0.25 * abs(srtt - rtt_s) if srtt else rtt_s / 2
            srtt = 0.875 * srtt + 0.125 * rtt_s if srtt else rtt_s
        self.drop(index)
        self.append(peer, now, srtt, var, trusts)

    def append(self, peer: Peer, now: float, srtt_s: float, rttvar_s: float, trusts: bool) -> None:
        self.peers.append(peer)
        self.ids.append(peer.id)
        self.heard_s.append(now)
        self.srtt_s.append(srtt_s)
        self.rttvar_s.append(rttvar_s)
        self.failures.append(0)
        self.trusts.append(trusts)

    def drop(self, index: int) -> None:
        del self.peers[index], self.ids[index], self.heard_s[index], self.srtt_s[index]
        del self.rttvar_s[index], self.failures[index], self.trusts[index]

    def entries(self) -> tuple[TableEntry, ...]:
        columns = (self.peers, self.heard_s, self.srtt_s, self.rttvar_s, map(bool, self.trusts))
        return tuple(map(TableEntry, *columns))

    def keep_as_replacement(self, peer: Peer) -> None:
        """The node seen last is the first to replace."""
        self.replacements = [p for p in self.replacements if p.id != peer.id]
        self.replacements.append(peer)
        del self.replacements[:-BUCKET_REPLACEMENTS_MAX]


class Table(RoutingTable):
    """See the module.  ``now`` is monotonic seconds throughout."""

    def __init__(self, node: Node, ksize: int = K) -> None:
        self.node, self.ksize, self.protocol = node, ksize, None
        self.opened_s = 0.0
        self.neighbours_updated_s = -math.inf
        self.flush()

    def flush(self) -> None:
        self.buckets: list[Bucket | None] = []

    def snapshot(self) -> TableSnapshot:
        """What the table holds now, replacements left out."""
        buckets = [
            BucketSnapshot(index, bucket.last_updated, bucket.entries())
            for index, bucket in enumerate(self.buckets)
            if bucket is not None
        ]
        return TableSnapshot(self.neighbours_updated_s, tuple(buckets))

    def restore(self, snapshot: TableSnapshot) -> None:
        """Hold exactly what ``snapshot`` says; it must keep the table's rules (bucket of each
        peer, at most ``ksize`` a bucket), since nothing of it is checked here."""
        self.flush()
        self.neighbours_updated_s = snapshot.neighbours_updated_s
        for part in snapshot.buckets:
            bucket = self._bucket(part.index, part.looked_up_s)
            for one in part.entries:
                bucket.append(one.peer, one.heard_s, one.rtt_s, one.rttvar_s, one.trusts)

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self.buckets if bucket)

    def __iter__(self) -> Iterator[Peer]:
        for bucket in self.buckets:
            if bucket:
                yield from bucket.peers

    def get_bucket_for(self, node: Node) -> int:
        """The bucket's index: how many leading bits the id shares with ours."""
        own: int = self.node.long_id
        return _BITS - (own ^ int(node.long_id)).bit_length()

    def entry(self, peer: Peer) -> tuple[Bucket, int] | None:
        """Where a node stands, at whatever address; None if it is not in the table."""
        index = self.get_bucket_for(peer)
        bucket = self.buckets[index] if index < len(self.buckets) else None
        if bucket is None:
            return None
        at = bucket.index(peer.id)
        return (bucket, at) if at >= 0 else None

    def get(self, peer: Peer) -> Peer | None:
        """The entry of that node, at the address it last answered from."""
        found = self.entry(peer)
        return found[0].peers[found[1]] if found else None

    def is_new_node(self, node: Peer) -> bool:
        return self.entry(node) is None

    def has_room_for(self, peer: Peer) -> bool:
        """Whether an answer from this unknown node would put it into the table."""
        index = self.get_bucket_for(peer)
        return index < _BITS and self.room_in(index) > 0 and self._ip_allows(peer)

    def answered(
        self, peer: Peer, now: float, rtt_s: float | None = None, *, trusts: bool = False
    ) -> Peer | None:
        """A node answered our request.  Returns the peer to ping if the bucket is full and its
        least recently heard member has been silent for long (ping before evict)."""
        index = self.get_bucket_for(peer)
        if index >= _BITS:
            return None
        bucket = self._bucket(index, now)
        at = bucket.index(peer.id)
        moved = at < 0 or bucket.peers[at].address != peer.address
        if moved and not self._ip_allows(peer):
            return None
        if at >= 0:
            bucket.heard(at, peer, now, rtt_s, trusts)
        elif len(bucket) < self.ksize:
            rtt_s = rtt_s or 0.0
            bucket.append(peer, now, rtt_s, rtt_s / 2, trusts)
        else:
            bucket.keep_as_replacement(peer)
            if now - bucket.heard_s[0] >= QUESTIONABLE_AFTER_S:
                return bucket.head()
        return None

    def failed(self, peer: Peer, now: float) -> bool:
        """A node did not answer.  After several times in a row it goes and the most recent
        replacement takes its place, if one may enter; True if it went."""
        found = self.entry(peer)
        if not found or found[0].peers[found[1]].address != peer.address:
            return False  # somebody else's claim about where this node is
        bucket, at = found
        bucket.failures[at] += 1
        if bucket.failures[at] < PEER_FAILURES_MAX:
            return False
        self.remove_contact(peer)
        replacement = self._take_replacement(bucket)
        if replacement is not None:
            bucket.append(replacement, now, 0.0, 0.0, trusts=False)
        else:
            bucket.last_updated = -math.inf  # to be filled in the next round, not in an hour
        return True

    def _take_replacement(self, bucket: Bucket) -> Peer | None:
        """The one seen last whose address is not in the table too often by now."""
        while bucket.replacements:
            peer = bucket.replacements.pop()
            if self._ip_allows(peer):
                return peer
        return None

    def remove_contact(self, node: Peer) -> None:
        found = self.entry(node)
        if found:
            found[0].drop(found[1])

    def find_neighbors(
        self, node: Node, k: int | None = None, exclude: Peer | None = None
    ) -> list[Peer]:
        """The ``k`` closest to ``node``, closest first, exactly in XOR order; ``exclude`` by id."""
        return self.closest(node.long_id, k or self.ksize, exclude.id if exclude else b"")

    def closest(
        self, target: int, k: int, exclude: bytes = b"", *, ipv6: bool | None = None
    ) -> list[Peer]:
        """As ``find_neighbors``; ``ipv6`` keeps only contacts of that family."""
        result: list[Peer] = []
        for bucket in self._by_distance(target):
            peers = [
                p for p in bucket.peers if p.id != exclude and (ipv6 is None or p.ipv6 is ipv6)
            ]
            peers.sort(key=lambda peer: peer.long_id ^ target)
            result += peers
            if len(result) >= k:
                break
        return result[:k]

    def _by_distance(self, target: int) -> Iterator[Bucket]:
        """The buckets, each wholly closer to the target than the next.

        The peers of bucket i differ from us in bit i and agree before it.  Where the target
        differs from us too, they are closer to it than we are, the more so the higher the bit;
        where it agrees with us, they are farther than we are, the less so the lower the bit.
        """
        buckets = self.buckets
        away = (self.node.long_id ^ target) >> (_BITS - len(buckets))  # a bit for each bucket
        deepest = len(buckets) - 1
        for index, bucket in enumerate(buckets):
            if away >> (deepest - index) & 1 and bucket is not None:
                yield bucket
        for index in range(deepest, -1, -1):
            if not away >> (deepest - index) & 1 and (bucket := buckets[index]) is not None:
                yield bucket

    def silent(self, now: float) -> list[Peer]:
        """The entries that were not heard for an hour, farthest bucket first."""
        return [
            peer
            for bucket in self.buckets
            if bucket
            for peer, heard_s in zip(bucket.peers, bucket.heard_s, strict=True)
            if now - heard_s >= BUCKET_REFRESH_INTERVAL_S
        ]

    def lonely_buckets(self, now: float = 0.0) -> list[int]:
        """Indexes of the buckets to fill: with room, and not looked into for an hour."""
        return [
            index
            for index in self.buckets_with_room()
            if now - self.updated_s(index) >= BUCKET_REFRESH_INTERVAL_S
        ]

    def neighbours_due(self, now: float) -> bool:
        """Whether our own id was not looked up for an hour."""
        return now - self.neighbours_updated_s >= BUCKET_REFRESH_INTERVAL_S

    def updated_s(self, index: int) -> float:
        bucket = self.buckets[index] if index < len(self.buckets) else None
        return bucket.last_updated if bucket is not None else self.opened_s

    def looked_up(self, target: int, now: float) -> None:
        """We (not a stranger) looked up ``target``: its bucket is fresh."""
        index = _BITS - (self.node.long_id ^ target).bit_length()
        if index == _BITS:
            self.neighbours_updated_s = now
        elif index < len(self.buckets):
            self._bucket(index, now).last_updated = now

    def buckets_with_room(self) -> list[int]:
        """The buckets that are not full, up to the one in which the k nearest nodes end.

        A lookup of our own id finds the k nearest, hence all there is in the buckets beyond."""
        return [index for index in range(self._neighbourhood_edge() + 1) if self.room_in(index)]

    def room_in(self, index: int) -> int:
        """How many more nodes a bucket can hold."""
        bucket = self.buckets[index] if index < len(self.buckets) else None
        return self.ksize - len(bucket or ())

    def _neighbourhood_edge(self) -> int:
        """The bucket of the k-th nearest entry; -1 if there are fewer entries."""
        within = 0
        for index in range(len(self.buckets) - 1, -1, -1):
            within += len(self.buckets[index] or ())
            if within >= self.ksize:
                return index
        return -1

    def _bucket(self, index: int, now: float) -> Bucket:
        while index >= len(self.buckets):
            self.buckets.append(None)
        bucket = self.buckets[index]
        if bucket is None:
            bucket = self.buckets[index] = Bucket(self.ksize, now)
        return bucket

    def _ip_allows(self, peer: Peer) -> bool:
        if peer.private:
            return True
        same = sum(1 for p in self if p.ip == peer.ip and p.id != peer.id)
        return same < NODES_PER_IP_MAX


def random_id_in_bucket(own: int, index: int, random_bits: int) -> int:
    """An id that shares exactly ``index`` leading bits with ours; ``random_bits`` has 160."""
    tail = _BITS - index - 1
    return ((own >> tail) ^ 1) << tail | (random_bits & ((1 << tail) - 1))
