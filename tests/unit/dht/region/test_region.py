"""The region of a key: how large it is, and that its lookups reach all of it."""

from __future__ import annotations

import random

import pytest

from dhtstore.dht.core.region.region import Region
from dhtstore.params import REGION_LOOKUPS, REGION_NODES_MAX, K
from tests.unit.dht.region.peers import BITS, closest, ground, ids, peer_with


@pytest.mark.parametrize(
    ("nodes", "bits"), [(0.0, 0), (39.0, 0), (40.0, 1), (1000.0, 5), (1290.0, 6), (1e6, 15)]
)
def test_k_to_two_k_nodes_are_expected_in_it(nodes: float, bits: int) -> None:
    region = Region.around(12345, nodes)
    assert region.bits == bits
    assert nodes < 2 * K or K <= nodes / 2**bits < 2 * K


def test_its_lookups_find_nearly_all_honest_nodes_though_a_crowd_sits_on_the_key() -> None:
    rng = random.Random(1)
    numbers = ids(rng, 1000)
    missed = there = 0
    for key in ids(rng, 50):
        region = Region.around(key, 1000.0)
        everybody = numbers + ground(rng, key, 60, 14)
        targets = [int.from_bytes(each, "big") for each in region.targets()]
        assert len(targets) == REGION_LOOKUPS
        found = {one.long_id for each in targets for one in closest(each, everybody)}
        honest = {number for number in numbers if number in region}
        there += len(honest)
        missed += len(honest - found)
    assert missed < 0.05 * there


def test_members_are_those_inside_closest_first_each_once() -> None:
    rng = random.Random(2)
    key = rng.getrandbits(BITS)
    region = Region.around(key, 1000.0)
    near, far = ground(rng, key, 10, 6), ground(rng, key ^ 1 << (BITS - 1), 10, 6)
    members = region.members([peer_with(each) for each in [*near, *far, *near]])
    assert [one.long_id for one in members] == sorted(near, key=key.__xor__)


def test_whom_a_flood_of_ids_would_keep_out_goes_before_it() -> None:
    rng = random.Random(3)
    key, numbers = rng.getrandbits(BITS), ids(rng, 1000)
    region = Region.around(key, 1000.0)
    honest = [number for number in numbers if number in region]
    flood = ground(rng, key, 2 * REGION_NODES_MAX, 13)
    members = {one.long_id for one in region.members([peer_with(each) for each in flood + honest])}
    assert len(members) == REGION_NODES_MAX
    assert len(members & set(honest)) >= 0.9 * len(honest)
