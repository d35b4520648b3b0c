"""Whether ids crowd around a key: how often an honest network looks so, and what a crowd hides."""

from __future__ import annotations

import math
import random

import pytest

from dhtstore.dht.core.region.crowding import crowded, least_mean, spread
from dhtstore.params import CROWD_MIN, CROWD_RATE, K
from tests.unit.dht.region.peers import BITS, closest, ground, ids


@pytest.mark.parametrize("count", [1, 2, 5, 20, 60])
def test_as_near_by_chance_as_the_rate_says(count: int) -> None:
    mean = least_mean(count)
    fewer = sum(math.exp(-mean) * mean**i / math.factorial(i) for i in range(count))
    assert 1 - fewer == pytest.approx(CROWD_RATE, rel=1e-3)


def test_the_distances_of_random_ids_are_seldom_taken_for_a_crowd() -> None:
    """Of 40,000 keys, for each of which the network is drawn anew: distances of a Poisson process,
    as ids of a large network have them; and where its size is understated by a third."""
    rng = random.Random(1)
    alarms = sum(_alarm(rng, 1.0) for _ in range(40_000))
    assert alarms <= 40_000 / 1000
    understated = sum(_alarm(rng, 0.7) for _ in range(10_000))
    assert understated <= 10_000 * 0.02


def _alarm(rng: random.Random, known: float) -> bool:
    """Without peers, which would take longer than all else: the same comparison."""
    distance = 0.0
    for count in range(1, K + 1):
        distance += rng.expovariate(1.0)
        if count >= CROWD_MIN and known * distance < least_mean(count):
            return True
    return False


@pytest.mark.parametrize("nodes", [40, 100, 1000])
def test_whole_networks_seldom_look_crowded(nodes: int) -> None:
    rng = random.Random(nodes)
    numbers = ids(rng, nodes)
    keys = ids(rng, 400)
    assert sum(crowded(key, closest(key, numbers), nodes) for key in keys) <= 1


@pytest.mark.parametrize("nodes", [100, 1000, 4000])
def test_those_ground_to_a_key_do(nodes: int) -> None:
    rng = random.Random(nodes)
    numbers, bits = ids(rng, nodes), math.ceil(math.log2(nodes)) + 2
    for key in ids(rng, 20):
        crowd = ground(rng, key, K, bits)
        for estimate in (0.7 * nodes, nodes, 1.4 * nodes):
            assert crowded(key, closest(key, numbers + crowd), estimate)


def test_of_liars_at_the_key_two_count_and_of_the_honest_around_it_nearly_all() -> None:
    rng = random.Random(2)
    numbers = ids(rng, 1000)
    for key in ids(rng, 20):
        around = sorted(numbers, key=key.__xor__)[:30]
        assert len(spread(key, ground(rng, key, 100, 14), 1000)) <= 3
        counted = spread(key, ground(rng, key, 20, 14) + around, 1000)
        assert len(set(counted) & set(around)) >= 28


def test_of_honest_ones_all_count_in_order_of_distance() -> None:
    rng = random.Random(3)
    numbers = ids(rng, 1000)
    key = rng.getrandbits(BITS)
    around = sorted(numbers, key=key.__xor__)[:K]
    assert spread(key, random.Random(1).sample(around, K), 1000) == around
