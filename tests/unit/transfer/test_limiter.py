"""How many bytes a limit lets through."""

from __future__ import annotations

from dhtstore.params import LIMIT_BURST_S, MIB
from dhtstore.transfer.limiter import RateBucket


def moved(bucket: RateBucket, size_bytes: int, begin_s: float, end_s: float) -> int:
    """How much moves by portions of that size, each as soon as it may."""
    now, count = begin_s, 0
    while (now := now + bucket.wait_s(now)) < end_s:
        bucket.charge(size_bytes, now)
        count += size_bytes
    return count


def test_the_mean_is_the_limit() -> None:
    assert abs(moved(RateBucket(5e6, 0.0), 256 * 1024, 0.0, 10.0) / 50e6 - 1) < 0.01


def test_a_portion_larger_than_a_second_brings_is_paid_for_afterwards() -> None:
    bucket = RateBucket(100_000, 0.0)
    assert bucket.wait_s(0.0) == 0.0
    bucket.charge(MIB, 0.0)
    assert bucket.wait_s(0.0) == MIB / 100_000


def test_after_a_pause_a_quarter_of_a_second_moves_at_once() -> None:
    bucket = RateBucket(1e6, 0.0)
    assert moved(bucket, 1000, 3600.0, 3600.0001) <= 1e6 * LIMIT_BURST_S + 2000


def test_no_debt_of_a_high_rate_is_paid_at_a_low_one() -> None:
    bucket = RateBucket(1e9, 0.0)
    bucket.charge(1e8, 0.0)
    bucket.retune(100_000, 0.0)
    assert bucket.wait_s(0.0) <= LIMIT_BURST_S


def test_time_that_goes_back_earns_nothing() -> None:
    bucket = RateBucket(1e6, 100.0)
    bucket.charge(1e6, 100.0)
    assert bucket.wait_s(50.0) == 1.0
