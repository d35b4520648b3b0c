"""Which keys some lookups serve, and who gets which record: held against all nodes there are."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kademlia.node import Node

from dhtstore.dht.core.sweeping.handing import Handing
from dhtstore.dht.core.sweeping.seen import SeenNodes, ball, merged
from dhtstore.params import K

IDS = 1 << 160
SEEDS = st.integers(0, 2**32)


def nodes_of(rng: random.Random, count: int, crowded: bool) -> list[Node]:
    """Half of them may have been ground to be close to each other."""
    near = rng.getrandbits(160)
    ids = [rng.getrandbits(160) for _ in range(count)]
    if crowded:
        ids[: count // 2] = [near ^ rng.getrandbits(rng.randint(100, 158)) for _ in ids[::2]]
    return [Node(number.to_bytes(20, "big")) for number in set(ids)]


def nearest(nodes: list[Node], target: int, count: int) -> list[Node]:
    return sorted(nodes, key=lambda node: node.long_id ^ target)[:count]


def looked(seen: SeenNodes, nodes: list[Node], target: int, count: int) -> SeenNodes:
    """What a lookup that finds the ``count`` closest adds."""
    found = nearest(nodes, target, count)
    return seen.with_ball(target, found[-1].long_id ^ target, found)


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(K, 400), st.booleans(), st.integers(1, 4))
def test_keys_that_are_covered_go_to_the_true_closest(
    seed: int, count: int, crowded: bool, lookups: int
) -> None:
    rng = random.Random(seed)
    nodes = nodes_of(rng, count, crowded)
    seen = SeenNodes(0.0)
    begin = rng.choice(nodes).long_id ^ rng.getrandbits(150)
    for _ in range(lookups):
        target = begin ^ rng.getrandbits(rng.randint(150, 160))
        seen = looked(seen, nodes, target, rng.randint(1, 40))
    for _ in range(30):
        number = begin ^ rng.getrandbits(rng.randint(100, 160))
        key = number.to_bytes(20, "big")
        if seen.covers(key):
            expected = [node.id for node in nearest(nodes, number, K)]
            assert [node.id for node in seen.closest(key)] == expected


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(100, 1500))
def test_all_keys_are_served_by_few_lookups(seed: int, count: int) -> None:
    """Where ids are spread as hashes are: at most 2 n/k, and they come to an end."""
    rng = random.Random(seed)
    nodes = nodes_of(rng, count, crowded=False)
    keys = sorted(rng.randbytes(20) for _ in range(2000))
    lookups, at = 0, 0
    while at < len(keys):
        seen, gap = SeenNodes(0.0), int.from_bytes(keys[at], "big")
        for _ in range(4):
            seen, lookups = looked(seen, nodes, gap, 24), lookups + 1
            found = seen.gap(keys[at])
            if found is None:
                break
            gap = found
        at += seen.covered(keys[at : at + 2000])
    assert lookups <= 2 * count / K + 4


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(1, 12))
def test_a_ball_is_the_ids_within_its_distance(seed: int, bits: int) -> None:
    rng = random.Random(seed)
    target, size = rng.getrandbits(bits), rng.randrange(1, (1 << bits) + 1)
    within = {each for each in range(1 << bits) if each ^ target < size}
    stretches = merged(ball(target, size))
    assert {each for first, end in stretches for each in range(first, end)} == within
    assert all(end < first for (_, end), (first, _) in itertools.pairwise(stretches))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(1, 40), st.floats(0, 1))
def test_each_record_reaches_the_closest_that_answer(
    seed: int, count: int, keys: int, dead_share: float
) -> None:
    """Whoever is silent, and whenever: each key has K copies while K nodes answer, nobody is asked
    for one twice, and it ends."""
    rng = random.Random(seed)
    nodes = nodes_of(rng, count, crowded=False)
    dead = {node.id for node in nodes if rng.random() < dead_share}
    names = [rng.randbytes(20) for _ in range(keys)]
    handing, asked = Handing(SeenNodes(0.0, tuple(nodes)), names, fit=6), 0
    while parts := handing.turn():
        for part in parts:
            asked += 1
            assert 1 <= len(part[1]) <= 6
            if part[0] in dead:
                handing.silent(part)
            else:
                handing.told(part, ["kept"] * len(part[1]))
        assert asked < 10_000
    alive = [node for node in nodes if node.id not in dead]
    for name, verdicts in zip(names, handing.verdicts, strict=True):
        kept = {node for node, verdict in verdicts.items() if verdict == "kept"}
        assert kept == {node.id for node in nearest(alive, int.from_bytes(name, "big"), K)}
    assert handing.gone <= dead


def test_a_datagram_lost_twice_costs_a_node_nothing() -> None:
    nodes = [Node(bytes([number]) * 20) for number in range(4)]
    keys = [bytes([number]) * 20 for number in range(20)]
    handing = Handing(SeenNodes(0.0, tuple(nodes)), keys, fit=6)
    lost = 0
    while parts := handing.turn():
        for part in parts:
            if part[0] == nodes[2].id and len(part[1]) == 2 and not lost:
                lost += 1
                handing.silent(part)
            else:
                handing.told(part, ["kept"] * len(part[1]))
    assert lost == 1
    assert all(set(each.values()) == {"kept"} for each in handing.verdicts)
    assert all(len(each) == 4 for each in handing.verdicts)
