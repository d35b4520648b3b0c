"""The model in rounds against the figures of a vectorised one, which shares no code with it."""

from __future__ import annotations

import pytest

from simulations.validation import theory
from simulations.validation.lookup_rounds import RoundModel


@pytest.mark.parametrize("k", [8, 20])
def test_hops_are_those_of_the_vectorised_model(k: int) -> None:
    hops = RoundModel(10_000, seed=1, k=k).mean_hops(350)
    assert hops == pytest.approx(theory.HOPS_ALPHA_3[10_000, k], rel=0.03)


def test_one_request_at_a_time_needs_more_hops() -> None:
    at_once = RoundModel(1000, seed=1).mean_hops(150)
    assert RoundModel(1000, seed=1).mean_hops(150, alpha=1) > at_once


def test_where_everybody_is_known_the_first_hop_is_enough() -> None:
    assert RoundModel(15, seed=1).mean_hops(50) == 1


def test_the_same_seed_draws_the_same() -> None:
    assert RoundModel(300, seed=4).mean_hops(20) == RoundModel(300, seed=4).mean_hops(20)
