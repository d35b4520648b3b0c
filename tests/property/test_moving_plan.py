"""Copies that move to emptier disks: never too few, never back and forth, and it ends."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.identity import DhtKey, NodeId, distance
from dhtstore.params import DAY_S, MOVE_MARGIN, NODE_ID_BYTES
from dhtstore.replication.health.copies import Copy, Health
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.presence import Presence
from dhtstore.replication.repair.moving import Fill, Taker, evens_out, kept_back, may_take
from dhtstore.replication.repair.plan import may_drop, watched

NOW = 1_700_000_000.0
KEY = DhtKey(bytes(NODE_ID_BYTES))
ALWAYS = PeerPast(NOW - 20 * DAY_S, NOW, NOW)
STEADY = Presence(DAY_S, DAY_S)
ids = st.binary(min_size=NODE_ID_BYTES, max_size=NODE_ID_BYTES).map(NodeId)


def known_to(
    here: NodeId, holders: list[NodeId], target: int, keep: Collection[NodeId] = ()
) -> Health:
    """As ``here`` knows it, which has proofs of all others; those of ``keep`` never drop theirs."""
    copies = [Copy(each, ALWAYS, NOW - 60, stays=each in keep) for each in holders if each != here]
    return watched(Health(KEY, here, target, copies, stays="put here" * (here in keep)), NOW)


def far(node: NodeId) -> int:
    return distance(node, KEY)


@given(st.lists(ids, min_size=3, max_size=9, unique=True), st.integers(2, 5), st.integers(0, 2))
def test_only_the_farthest_moves_and_only_nearer_so_that_just_its_own_may_go(
    nodes: list[NodeId], target: int, kept: int
) -> None:
    holders, others, keep = nodes[:target], nodes[target:], nodes[:kept]
    movers = [each for each in holders if not kept_back(known_to(each, holders, target, keep))]
    if len(holders) == target and (free := holders[kept:]):
        assert movers == [max(free, key=far)]
    for mover in movers:
        health = known_to(mover, holders, target, keep)
        for other in others:
            taker = Taker(other, STEADY, "10.0.0.0/24")
            assert may_take(health, taker) == (far(other) < far(mover))
            if may_take(health, taker):
                after = [*holders, other]
                may_go = [
                    each
                    for each in after
                    if may_drop(known_to(each, after, target, keep), NOW, 0.0)
                ]
                assert may_go == [mover]


@given(st.lists(ids, min_size=4, max_size=9, unique=True), st.data())
def test_whatever_holders_know_and_do_at_once_as_many_as_are_wanted_stay(
    nodes: list[NodeId], data: st.DataObject
) -> None:
    """Each sees only some of the others, moves to whom it likes, then all drop what they may."""
    target = 3
    holders = set(nodes[:target])
    for mover in nodes[:target]:
        seen = [each for each in nodes[:target] if each == mover or data.draw(st.booleans())]
        health = known_to(mover, seen, target)
        for other in nodes[target:]:
            if not kept_back(health) and may_take(health, Taker(other, STEADY, "")):
                holders |= {other} if data.draw(st.booleans()) else set()
    there = sorted(holders, key=far)
    dropped = set()
    for each in there:
        seen = [one for one in there if one == each or data.draw(st.booleans())]
        if may_drop(known_to(each, seen, target), NOW, 0.0):
            dropped.add(each)
    assert len(holders - dropped) >= target


def test_nothing_moves_that_is_short_or_stays_or_to_whom_is_hardly_known() -> None:
    nodes = sorted((NodeId(bytes((n,)) * NODE_ID_BYTES) for n in (9, 7, 5, 3)), key=far)
    taker, *holders = nodes
    health = known_to(holders[-1], holders, 3)
    assert kept_back(health) == ""
    assert kept_back(replace(health, stays="pinned")) == "pinned"
    assert kept_back(known_to(holders[-1], holders[1:], 3)) == "not all others answer"
    lacks = [*health.copies[:-1], replace(health.copies[-1], lacks="gone")]
    assert kept_back(watched(replace(health, copies=lacks), NOW)) == "2 copies of 3"
    assert "farther" in kept_back(known_to(holders[0], holders, 3))
    assert may_take(health, Taker(taker, STEADY, "a"), ["a", "b"], "a")
    assert not may_take(health, Taker(taker, STEADY, "a"), ["a", "b"], "c")
    assert not may_take(health, Taker(taker, Presence(3600.0, 3600.0), "c"))
    assert not may_take(health, Taker(taker, Presence(DAY_S, DAY_S / 2, DAY_S / 2), "c"))
    assert not may_take(health, Taker(holders[0], STEADY, "c"))


fills = st.builds(Fill, st.integers(0, 2000), st.integers(1, 1500))


@given(fills, fills, st.integers(1, 500))
def test_what_has_moved_does_not_move_back(here: Fill, there: Fill, size_bytes: int) -> None:
    if not evens_out(size_bytes, here, there):
        return
    assert here.share - there.share >= MOVE_MARGIN
    here, there = here.with_more(-size_bytes), there.with_more(size_bytes)
    assert there.share <= here.share
    assert not evens_out(size_bytes, there, here)


@given(st.lists(st.tuples(st.integers(20, 200), st.integers(0, 100)), min_size=2, max_size=8))
def test_moving_ends(disks: list[tuple[int, int]]) -> None:
    """Whoever moves to whomever: what is used ends up within the margin, or a unit does not fit."""
    rng = random.Random(1)
    known = [Fill(capacity - min(capacity, used), capacity) for capacity, used in disks]
    for _ in range(10_000):
        pairs = [
            (a, b)
            for a in range(len(known))
            for b in range(len(known))
            if a != b and evens_out(1, known[a], known[b])
        ]
        if not pairs:
            return
        a, b = rng.choice(pairs)
        known[a], known[b] = known[a].with_more(-1), known[b].with_more(1)
    raise AssertionError("it never ends")
