"""The size of a network, from what lookups find."""

from __future__ import annotations

import random

import pytest

from dhtstore.dht.core.region.size import NetworkSize, nodes_around
from dhtstore.params import NETWORK_SIZE_AGE_MAX_S, NETWORK_SIZE_PARTS, K
from tests.unit.dht.region.peers import BITS, closest, ground, ids


def sized(
    rng: random.Random, numbers: list[int], lookups: int, at_s: float = 0.0
) -> tuple[NetworkSize, int]:
    size, own = NetworkSize(), numbers[0]
    for target in ids(rng, lookups):
        size.looked_up(target, closest(target, numbers), at_s)
    return size, own


@pytest.mark.parametrize("nodes", [60, 1000, 4000])
def test_many_lookups_tell_it_within_a_fifth(nodes: int) -> None:
    rng = random.Random(nodes)
    numbers = ids(rng, nodes)
    size, own = sized(rng, numbers, 60)
    estimate = size.estimate(ids(rng, 1)[0], own, closest(own, numbers), 0.0)
    assert estimate == pytest.approx(nodes, rel=0.2)


def test_one_lookup_tells_it_right_in_the_mean() -> None:
    rng = random.Random(7)
    numbers = ids(rng, 2000)
    told = [nodes_around(key, closest(key, numbers)) for key in ids(rng, 300)]
    assert sum(told) / len(told) == pytest.approx(2000, rel=0.04)


def test_fewer_than_k_are_all_there_are() -> None:
    assert nodes_around(5, closest(5, ids(random.Random(1), K - 1))) == K - 1


def test_ids_ground_to_some_keys_do_not_make_a_network_larger() -> None:
    """The lookups of six of sixteen parts met a crowd, one of them that of the key itself."""
    rng = random.Random(3)
    numbers = ids(rng, 1000)
    size, own = sized(rng, numbers, 80)
    for part in range(6):
        key = part << (BITS - 4) | rng.getrandbits(BITS - 4)
        size.looked_up(key, closest(key, numbers + ground(rng, key, K, 16)), 1.0)
    estimate = size.estimate(key, own, closest(own, numbers), 2.0)
    assert estimate == pytest.approx(1000, rel=0.3)


def test_a_crowd_around_one_key_is_not_asked_about_itself() -> None:
    rng = random.Random(4)
    numbers, key = ids(rng, 1000), rng.getrandbits(BITS)
    size = NetworkSize()
    size.looked_up(key, closest(key, numbers + ground(rng, key, K, 16)), 0.0)
    estimate = size.estimate(key, numbers[0], closest(numbers[0], numbers), 1.0)
    assert estimate < 2000


def test_a_network_that_shrinks_is_told_in_time() -> None:
    rng = random.Random(5)
    numbers = ids(rng, 3000)
    size, own = sized(rng, numbers, 60)
    left = numbers[:100]
    later = NETWORK_SIZE_AGE_MAX_S + 1
    assert size.estimate(1, own, closest(own, left), later) == pytest.approx(100, rel=0.5)


def test_it_keeps_a_bounded_number_of_figures() -> None:
    rng = random.Random(6)
    size, _ = sized(rng, ids(rng, 40), 500)
    assert len(size._nodes) == len(size._at_s) == NETWORK_SIZE_PARTS
