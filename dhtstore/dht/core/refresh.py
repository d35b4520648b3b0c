"""Questions to a routing table: what is due to be refreshed (Kademlia section 2.3) and where to
ask, whom a lookup begins with and waits for."""

from __future__ import annotations

from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.table import Table, by_distance
from dhtstore.params import BUCKET_REFRESH_INTERVAL_S, NODE_ID_BYTES

_BITS: Final = 8 * NODE_ID_BYTES


def silent(table: Table, now: float) -> list[Peer]:
    """The entries that were not heard for an hour, farthest bucket first; ``now`` is monotonic
    seconds here and below."""
    return [
        peer
        for bucket in table.buckets
        if bucket
        for peer, heard_s in zip(bucket.peers, bucket.heard_s, strict=True)
        if now - heard_s >= BUCKET_REFRESH_INTERVAL_S
    ]


def neighbours_due(table: Table, now: float) -> bool:
    """Whether our own id was not looked up for an hour."""
    return now - table.neighbours_updated_s >= BUCKET_REFRESH_INTERVAL_S


def buckets_due(table: Table, now: float) -> list[int]:
    """Indexes of the buckets to fill: with room, and not looked into for an hour."""
    return [
        index
        for index in buckets_with_room(table)
        if now - table.looked_up_s(index) >= BUCKET_REFRESH_INTERVAL_S
    ]


def buckets_with_room(table: Table) -> list[int]:
    """Indexes of the buckets that are not full, up to the one in which the k nearest nodes end.

    A lookup of our own id finds the k nearest, hence all there is in the buckets beyond."""
    return [index for index in range(_neighbourhood_edge(table) + 1) if table.room_in(index)]


def random_id_in_bucket(own: int, index: int, random_bits: int) -> int:
    """An id that shares exactly ``index`` leading bits with ours; ``random_bits`` has 160."""
    tail = _BITS - index - 1
    return ((own >> tail) ^ 1) << tail | (random_bits & ((1 << tail) - 1))


def seeds(table: Table, target: int, now: float) -> list[Peer]:
    """Where to begin a lookup: with the k closest, and with the k closest of those believed in,
    since any number of newcomers may be gone."""
    if not table.newcomers and not table.silences:
        return table.closest(target, table.ksize)
    chosen, believed = list[Peer](), 0
    for one in by_distance(table, target):
        if table.silences.lasts(one, now):
            continue
        young = one in table.newcomers
        if not young or len(chosen) < table.ksize:
            chosen.append(one)
        believed += not young
        if believed == table.ksize:
            break
    return chosen


def relies_on(table: Table, peer: Peer) -> bool:
    """Whether it is believed in where it is said to be, and was not silent since: worth waiting
    for."""
    found = table.entry(peer)
    if found is None or peer in table.newcomers:
        return False
    bucket, at = found
    return bucket.peers[at].address == peer.address and not bucket.failures[at]


def believed_first(table: Table) -> list[Peer]:
    """All entries, newcomers last."""
    known, young = list(table), table.newcomers.ids
    if not young:
        return known
    believed = [peer for peer in known if peer.id not in young]
    return believed + [peer for peer in known if peer.id in young]


def _neighbourhood_edge(table: Table) -> int:
    """The bucket of the k-th nearest entry; -1 if there are fewer entries."""
    within = 0
    for index in range(len(table.buckets) - 1, -1, -1):
        within += len(table.buckets[index] or ())
        if within >= table.ksize:
            return index
    return -1
