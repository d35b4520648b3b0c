"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import math
import random

import pytest

from simulations.results import intervals


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng, covered = random.Random(1), 0
    for _ in range(2000):
        low, high = intervals.mean_interval([rng.gauss(3, 2) for _ in range(10)])
        covered += low <= 3 <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)
    assert intervals.mean_interval([1.0, 3.0])[1] == pytest.approx(2 + 12.706)
    assert intervals.mean_interval([0.0, 2.0] * 50)[1] == pytest.approx(
        1 + 1.984 * math.sqrt(1 / 99), 1e-3
    )
    assert math.isnan(intervals.mean_interval([1.0])[0])


def coverage(share: float, alike: float, operations: int, runs: int) -> float:
    """How often the interval holds the truth, where the runs' own shares are drawn from a beta
    distribution: ``alike`` is the correlation of operations of one run."""
    rng, covered, worlds = random.Random(f"{share} {alike} {operations}"), 0, 300
    for _ in range(worlds):
        good = list[float]()
        for _ in range(runs):
            spread = (1 - alike) / alike if alike else math.inf
            own = rng.betavariate(share * spread, (1 - share) * spread) if alike else share
            good.append(sum(rng.random() < own for _ in range(operations)))
        low, high = intervals.share_interval(good, [operations] * runs)
        covered += low <= share <= high
    return covered / worlds


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("alike", [0.0, 0.01])
def test_intervals_of_shares_cover_the_truth(share: float, alike: float) -> None:
    """All operations of all runs succeed in half of the worlds of the last share: there an interval
    without a width was right in as few as one of five."""
    assert coverage(share, alike, operations=100, runs=10) >= 0.93


def test_operations_that_are_alike_widen_the_interval() -> None:
    apart = intervals.share_interval([100, 80, 100, 80], [100] * 4)
    alike = intervals.share_interval([90, 90, 90, 90], [100] * 4)
    assert apart[1] - apart[0] > 2 * (alike[1] - alike[0])


def test_intervals_of_shares_stay_between_0_and_1_and_have_a_width() -> None:
    for good in ([9.0, 10.0, 10.0], [0.0, 1.0], [10.0, 10.0], [0.0, 0.0], [0.0, 10.0]):
        low, high = intervals.share_interval(good, [10] * len(good))
        assert 0 <= low <= sum(good) / (10 * len(good)) <= high <= 1
        assert high - low > 0.1
        low, high = intervals.mean_share_interval([one / 10 for one in good])
        assert 0 <= low < high <= 1
    assert math.isnan(intervals.mean_share_interval([0.5])[0])


def test_a_single_run_has_the_interval_of_wilson() -> None:
    assert intervals.share_interval([81], [263]) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert intervals.share_interval([10], [10]) == pytest.approx((0.7225, 1), abs=1e-4)
    assert intervals.share_interval([0], [0]) == (0, 1)
