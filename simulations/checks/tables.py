"""Routing tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter

from dhtstore.model.identity import NodeId, distance
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    MAINTENANCE_INTERVAL_S,
    NODE_ID_BYTES,
    PEER_FAILURES_MAX,
    K,
)
from simulations.checks.checker import Checker, some
from simulations.checks.world_view import WorldView

_BITS = 8 * NODE_ID_BYTES
_NODES_MAX = 64  # looked at each time


class SoundTables(Checker):
    """Every contact stands once, in the bucket of its distance, at most k in each, never the
    node itself; the buckets cover the whole space without overlap."""

    name = "sound_tables"
    blind_to = "whether better contacts are missing; what arises and mends between two looks"

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node}: {wrong}"
            for node in world.nodes_up()
            for wrong in _table_faults(world.node_id(node), world.buckets(node))
        ]


def _table_faults(
    own: NodeId, buckets: Sequence[tuple[int, int, Sequence[NodeId]]]
) -> Iterable[str]:
    expected_low, everybody = 0, list[NodeId]()
    for low, high, members in sorted(buckets, key=itemgetter(0)):
        if low != expected_low:
            yield f"the buckets leave a gap or overlap at {low:040x}"
        expected_low = high + 1
        if members:
            everybody += members
            yield from _bucket_faults(own, low, high, members)
    if len(set(everybody)) < len(everybody):
        yield from (f"{one.hex()} is there twice" for one in _repeated(everybody))
    if expected_low != 1 << _BITS:
        yield f"the buckets end at {expected_low:040x}"


def _bucket_faults(own: NodeId, low: int, high: int, members: Sequence[NodeId]) -> Iterable[str]:
    if len(members) > K:
        yield f"{len(members)} contacts in one bucket"
    if own in members:
        yield "it is its own contact"
    ids = [int.from_bytes(member, "big") for member in members]
    if not low <= min(ids) <= max(ids) <= high:
        yield from (f"{one:040x} is in the wrong bucket" for one in ids if not low <= one <= high)


def _repeated(members: Sequence[NodeId]) -> Iterable[NodeId]:
    counts = Counter(members)
    return (member for member, count in counts.items() if count > 1)


class DeadContactsGo(Checker):
    """Of the contacts in tables, few are dead for longer than it takes to find out: an hour
    unheard, then as many pings as are tried, one in each round of upkeep."""

    name = "dead_contacts_go"
    blind_to = (
        "anything in the first two hours; single contacts, since who was kept as a replacement may "
        f"be dead for long when it takes a place; all but {_NODES_MAX} nodes at each look"
    )
    FOUND_OUT_S = BUCKET_REFRESH_INTERVAL_S + (PEER_FAILURES_MAX + 1) * 1.2 * MAINTENANCE_INTERVAL_S
    _SHARE_MAX = 0.02

    def check(self, world: WorldView) -> list[str]:
        judged = [
            node
            for node in world.nodes_up()
            if (since_s := world.joined_s(node)) is not None
            and world.now_s - since_s > self.FOUND_OUT_S
        ]
        contacts = [
            contact
            for node in some(judged, _NODES_MAX, world.now_s)
            for _, _, members in world.buckets(node)
            for contact in members
        ]
        dead = sum(world.dead_s(contact) > self.FOUND_OUT_S for contact in contacts)
        if dead <= self._SHARE_MAX * len(contacts):
            return []
        return [
            f"{dead} of {len(contacts)} contacts are dead for more than {self.FOUND_OUT_S:.0f} s"
        ]


def bucket_index(own: NodeId, other: NodeId) -> int:
    """The length of the common prefix: 0 for the far half (ProbeLab's numbering)."""
    return _BITS - distance(own, other).bit_length()
