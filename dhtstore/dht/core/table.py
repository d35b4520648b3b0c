"""The routing table (Kademlia sections 2.4 and 4.1).

Buckets are indexed by the length of the prefix shared with our own id, so there are at most 160
and none is ever split.  Only nodes that answered our own request get in; whoever is heard moves
to the tail; a full bucket's head is pinged before it may be replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from typing import Final

from kademlia.node import Node

from dhtstore.dht.core.bucket import Bucket
from dhtstore.dht.core.crowds import Crowds
from dhtstore.dht.core.newcomers.newcomers import YoungPeers
from dhtstore.dht.core.newcomers.silences import Silences
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.snapshot import BucketSnapshot, TableSnapshot
from dhtstore.params import (
    NODE_ID_BYTES,
    PEER_FAILURES_MAX,
    K,
)

_BITS: Final = 8 * NODE_ID_BYTES
QUESTIONABLE_AFTER_S: Final = 900.0  # BEP 5: a node not heard for 15 minutes is questionable


class Table:
    """The peers that the node with the id of ``node`` knows.  ``now`` is monotonic seconds
    throughout; at most ``ksize`` peers are in a bucket."""

    def __init__(self, node: Node, ksize: int = K) -> None:
        self.node, self.ksize, self.opened_s = node, ksize, 0.0
        self.crowds = Crowds()
        self.newcomers, self.silences = YoungPeers(self.crowds), Silences()
        self.clear()

    def clear(self) -> None:
        """Forget everybody."""
        self.buckets: list[Bucket | None] = []
        self.crowds.clear()
        self.newcomers.clear()
        self.neighbours_updated_s = -math.inf

    def snapshot(self) -> TableSnapshot:
        """What the table holds now, replacements left out."""
        buckets = [
            BucketSnapshot(index, bucket.looked_up_s, bucket.entries())
            for index, bucket in enumerate(self.buckets)
            if bucket is not None
        ]
        return TableSnapshot(self.neighbours_updated_s, tuple(buckets), self.newcomers.all())

    def restore(self, snapshot: TableSnapshot) -> None:
        """Hold exactly what ``snapshot`` says; it must keep the table's rules (bucket of each
        peer, at most ``ksize`` a bucket), since nothing of it is checked here."""
        self.clear()
        self.neighbours_updated_s = snapshot.neighbours_updated_s
        for part in snapshot.buckets:
            bucket = self._bucket(part.index, part.looked_up_s)
            for one in part.entries:
                bucket.restore(one)
                self.crowds.enter(one.peer)
        for newcomer, met_s in snapshot.newcomers:
            self.newcomers.enter(newcomer, met_s)

    def __len__(self) -> int:
        return sum(len(bucket.peers) for bucket in self.buckets if bucket is not None)

    def __iter__(self) -> Iterator[Peer]:
        for bucket in self.buckets:
            if bucket:
                yield from bucket.peers

    def __contains__(self, peer: Peer) -> bool:
        """Whether that node is here, at whatever address."""
        return self.entry(peer) is not None

    def bucket_index(self, peer: Peer) -> int:
        """How many leading bits the id shares with ours."""
        own: int = self.node.long_id
        return _BITS - (own ^ peer.long_id).bit_length()

    def _at(self, index: int) -> Bucket | None:
        return self.buckets[index] if index < len(self.buckets) else None

    def entry(self, peer: Peer) -> tuple[Bucket, int] | None:
        """Where a node stands, at whatever address; None if it is not in the table."""
        bucket = self._at(self.bucket_index(peer))
        if bucket is None:
            return None
        at = bucket.index(peer.id)
        return (bucket, at) if at >= 0 else None

    def get(self, peer: Peer) -> Peer | None:
        """The entry of that node, at the address it last answered from."""
        found = self.entry(peer)
        return found[0].peers[found[1]] if found else None

    def has_room_for(self, peer: Peer, now: float) -> bool:
        """Whether a pong from this unknown node would put it into the table."""
        bucket = self._at(self.bucket_index(peer))
        if bucket is None or len(bucket.peers) < self.ksize:
            return peer.id != self.node.id and self._welcome(peer, now)
        return self.crowds.giving_way(bucket.peers, peer) >= 0 and self._welcome(peer, now)

    def answered(
        self, peer: Peer, now: float, rtt_s: float | None = None,
        *, trusts: bool = False, pong: bool = False,
    ) -> Peer | None:  # fmt: skip
        """A node answered our request, only a ping for a ``pong``.  Returns the peer to ping if
        the bucket is full and its head has been silent for long (ping before evict)."""
        index = self.bucket_index(peer)
        if index >= _BITS:
            return None
        self.silences.answered(peer, now, pong=pong)
        bucket = self._bucket(index, now)
        at = bucket.index(peer.id)
        if at < 0 and not self._welcome(peer, now):
            return None
        if at >= 0:
            known = bucket.peers[at]
            bucket.heard(at, peer, now, rtt_s, trusts, pong)
            self.newcomers.heard(peer, now)
            if known is peer:
                return None
            self.crowds.leave(known)
        elif len(bucket.peers) < self.ksize or self._made_room(bucket, peer):
            rtt_s = rtt_s or 0.0
            bucket.append(peer, now, rtt_s, rtt_s / 2, trusts)
            self.newcomers.enter(peer, now)
        else:
            bucket.keep_as_replacement(peer, last=not self.crowds.has_share(peer))
            silent = now - bucket.heard_s[0] >= QUESTIONABLE_AFTER_S
            return bucket.peers[0] if silent else None
        self.crowds.enter(peer)
        return None

    def _welcome(self, peer: Peer, now: float) -> bool:
        crowded = self.newcomers.crowded(peer) and len(self) >= self.ksize
        return not (crowded or self.silences.bars(peer, now))

    def _made_room(self, bucket: Bucket, newcomer: Peer) -> bool:
        """Whether one of a crowd gave way in a full bucket; it waits there as a replacement."""
        at = self.crowds.giving_way(bucket.peers, newcomer)
        if at < 0:
            return False
        crowded = bucket.peers[at]
        self.remove(crowded)
        bucket.keep_as_replacement(crowded, last=True)
        return True

    def failed(self, peer: Peer, now: float, *, ping: bool = False) -> bool:
        """A node did not answer.  A newcomer goes, others after several times in a row, where a
        pong makes up for silent pings alone; a replacement takes the place.  True if it went."""
        found = self.entry(peer)
        if not found or found[0].peers[found[1]].address != peer.address:
            if not ping:
                self.silences.add(peer, now)
            return False  # somebody else's claim about where this node is
        bucket, at = found
        of_its_kind = bucket.dead_pings if ping else bucket.failures
        of_its_kind[at] += 1
        silent = bucket.dead_pings[at] + bucket.failures[at]
        keep = peer not in self.newcomers or len(self) == 1  # the only way to the others
        if keep and silent < PEER_FAILURES_MAX:
            return False
        if not ping:
            self.silences.add(peer, now)
        self.newcomers.silent(peer, now)
        self.remove(peer)
        if bucket.replacements:
            replacement = bucket.replacements.pop()
            bucket.append(replacement, now, 0.0, 0.0, trusts=False)
            self.crowds.enter(replacement)
            self.newcomers.enter(replacement, now)
        else:
            bucket.looked_up_s = -math.inf  # to be filled in the next round, not in an hour
        return True

    def remove(self, peer: Peer) -> None:
        """Forget that node, if it is here."""
        found = self.entry(peer)
        if found:
            bucket, at = found
            self.crowds.leave(bucket.peers[at])
            self.newcomers.leave(peer)
            bucket.drop(at)

    def closest(
        self, target: int, k: int, exclude: Peer | None = None, *, ipv6: bool | None = None
    ) -> list[Peer]:
        """The ``k`` closest to ``target``, closest first, exactly in XOR order, without the node
        of ``exclude``; ``ipv6`` keeps only contacts of that family."""
        result: list[Peer] = []
        without = self._at(self.bucket_index(exclude)) if exclude else None
        for bucket in _by_distance(self.buckets, self.node.long_id ^ target):
            peers = bucket.peers if ipv6 is None else bucket.reached(ipv6=ipv6)
            if bucket is without and exclude:
                peers = [peer for peer in peers if peer.id != exclude.id]
            result += sorted(peers, key=lambda peer: peer.long_id ^ target)
            if len(result) >= k:
                break
        return result[:k]

    def looked_up_s(self, index: int) -> float:
        """When a bucket was last looked into; of one never used, when we went online."""
        return self.opened_s if (bucket := self._at(index)) is None else bucket.looked_up_s

    def looked_up(self, target: int, now: float) -> None:
        """We (not a stranger) looked up ``target``: its bucket is fresh."""
        index = _BITS - (self.node.long_id ^ target).bit_length()
        if index == _BITS:
            self.neighbours_updated_s = now
        elif index < len(self.buckets):
            self._bucket(index, now).looked_up_s = now

    def room_in(self, index: int) -> int:
        """How many more nodes a bucket can hold."""
        return self.ksize - len(self._at(index) or ())

    def _bucket(self, index: int, now: float) -> Bucket:
        if (known := self._at(index)) is not None:
            return known
        self.buckets += [None] * (index + 1 - len(self.buckets))
        made = self.buckets[index] = Bucket(now)
        return made


def heard_last(table: Table, without: Set[bytes]) -> Peer | None:
    """Who answered last, of those whose ids are not in ``without``: of those believed in, if there
    are any, since any number of newcomers may be gone."""
    last, best = None, (False, -math.inf)
    for bucket in filter(None, table.buckets):
        for peer, heard_s in zip(bucket.peers, bucket.heard_s, strict=True):
            rank = peer not in table.newcomers, heard_s
            if rank > best and peer.id not in without:
                last, best = peer, rank
    return last


def by_distance(table: Table, target: int) -> Iterator[Peer]:
    """All its peers, closest to ``target`` first; whoever stops early sorts no more."""
    for bucket in _by_distance(table.buckets, table.node.long_id ^ target):
        yield from sorted(bucket.peers, key=lambda peer: peer.long_id ^ target)


def _by_distance(buckets: Sequence[Bucket | None], apart: int) -> Iterator[Bucket]:
    """The buckets, each wholly closer to a target than the next; our own id is ``apart`` from it.

    The peers of bucket i differ from us in bit i and agree before it.  Where the target
    differs from us too, they are closer to it than we are, the more so the higher the bit;
    where it agrees with us, they are farther than we are, the less so the lower the bit.
    """
    away = apart >> (_BITS - len(buckets))  # a bit for each bucket
    deepest = len(buckets) - 1
    for index, bucket in enumerate(buckets):
        if away >> (deepest - index) & 1 and bucket is not None:
            yield bucket
    for index in range(deepest, -1, -1):
        if not away >> (deepest - index) & 1 and (bucket := buckets[index]) is not None:
            yield bucket
