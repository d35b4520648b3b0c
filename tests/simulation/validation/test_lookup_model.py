"""The model of lookups against figures of a vectorised one in rounds, with which it shares no code,
and of the recursion."""

from __future__ import annotations

import pytest

from dhtstore.params import K
from simulations.validation import theory
from simulations.validation.lookup_model import IN_ROUNDS, LookupModel, Rules


@pytest.mark.parametrize("k", [8, 20])
def test_in_rounds_hops_are_those_of_the_vectorised_model(k: int) -> None:
    hops = LookupModel(10_000, seed=1, k=k).mean_hops(350, IN_ROUNDS)
    assert hops.first == pytest.approx(theory.HOPS_ALPHA_3[10_000, k], rel=0.03)


@pytest.mark.parametrize("nodes", [1000, 5000])
def test_one_request_at_a_time_needs_as_many_hops_as_the_recursion(nodes: int) -> None:
    alone = Rules(alpha=1, then=1, ends_at_once=False, near=1)
    hops = LookupModel(nodes, seed=1).mean_hops(800, alone)
    assert hops.first == pytest.approx(theory.expected_hops(nodes, K), rel=0.02)


def test_rounds_name_the_closest_by_their_shortest_chain() -> None:
    """Who is asked together is answered before anybody whom their answers name."""
    hops = LookupModel(1000, seed=2).mean_hops(150, IN_ROUNDS)
    assert hops.first == hops.shortest


def test_more_in_flight_lengthen_the_chain_and_ask_more() -> None:
    """What is asked before the closest answers are in may be farther down than need be."""
    rounds, today = (LookupModel(5000, seed=1).mean_hops(300, r) for r in (IN_ROUNDS, Rules()))
    assert today.first > today.shortest > rounds.shortest
    assert today.asked > rounds.asked


def test_where_everybody_is_known_the_first_hop_is_enough() -> None:
    hops = LookupModel(15, seed=1).mean_hops(50)
    assert (hops.first, hops.shortest) == (1, 1)


def test_the_same_seed_draws_the_same() -> None:
    assert LookupModel(300, seed=4).mean_hops(20) == LookupModel(300, seed=4).mean_hops(20)
