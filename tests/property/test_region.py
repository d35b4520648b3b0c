"""Searches on disjoint paths over any network, and crowds of any size around any key."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.dht.core.region.crowding import spread
from dhtstore.dht.core.region.paths import DisjointLookup
from dhtstore.dht.core.region.region import Region
from tests.property.test_lookup import ALPHA, KSIZE, PEERS, SOFT_S, Net

IDS = st.integers(0, 2**160 - 1)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    dead_share=st.floats(0, 1),
    slow_share=st.floats(0, 1),
    paths=st.integers(1, 8),
    begun=st.integers(0, len(PEERS)),
)
def test_disjoint_paths_end_ask_nobody_twice_and_find_who_lives(
    seed: int, dead_share: float, slow_share: float, paths: int, begun: int
) -> None:
    rng = random.Random(seed)
    net = Net(rng, dead_share, slow_share)
    lookup: Any = DisjointLookup(
        net.target,
        rng.sample(PEERS, begun),
        own_id=bytes(20),
        soft_timeout_s=SOFT_S,
        paths=paths,
        k=KSIZE,
        alpha=ALPHA,
    )
    net.run(lookup)
    assert len(net.asked) == len({*net.asked})
    found = [peer.id for peer in lookup.result()]
    assert not net.dead & {*found}
    assert found == sorted(found, key=lambda each: int.from_bytes(each, "big") ^ net.number)
    assert len(found) <= KSIZE
    assert lookup.answered <= lookup.asked == len(net.asked)
    if begun and not dead_share and not slow_share:
        assert found == [peer.id for peer in net.closest_known(KSIZE)]


@given(target=IDS, ids=st.lists(IDS, max_size=60), nodes=st.floats(1, 1e9), more=st.floats(1, 1e3))
def test_of_a_crowd_some_are_kept_and_of_larger_networks_no_fewer(
    target: int, ids: list[int], nodes: float, more: float
) -> None:
    kept = spread(target, ids, nodes)
    assert kept == sorted(kept, key=target.__xor__)
    assert {*kept} <= {*ids}
    assert len(spread(target, ids, nodes * more)) >= len(kept)
    assert spread(target, kept, nodes) == kept, "those that are left are no crowd"


@given(target=IDS, tails=st.sets(st.integers(0, 2**100 - 1), min_size=1, max_size=200))
def test_of_ids_ground_to_a_key_two_count_at_most(target: int, tails: set[int]) -> None:
    assert len(spread(target, [target ^ tail for tail in tails], 1e6)) <= 2


@given(key=IDS, nodes=st.floats(0, 1e12))
def test_what_a_region_looks_up_lies_within_it_each_in_a_part_of_its_own(
    key: int, nodes: float
) -> None:
    region = Region.around(key, nodes)
    targets = [int.from_bytes(each, "big") for each in region.targets()]
    assert all(each in region for each in targets)
    assert key in region
    apart = [(each ^ key).bit_length() for each in targets]
    assert apart == sorted(apart, reverse=True)
    assert len({*apart}) == len(apart)
