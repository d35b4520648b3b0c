"""How many bytes a limit lets through, and whose."""

from __future__ import annotations

from collections import Counter

from dhtstore.params import BACKGROUND_WEIGHT, LIMIT_BURST_S, MIB
from dhtstore.transfer.limiter import FairQueue, RateBucket
from dhtstore.transfer.priority import Priority

FOREGROUND, BACKGROUND = Priority.FOREGROUND, Priority.BACKGROUND


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


def shares(asked: dict[str, tuple[int, int, Priority]], turns: int) -> Counter[str]:
    """Who gets how many bytes in so many turns: each asks with (requests at a time, bytes of each,
    priority), and again as soon as one has its turn."""
    queue: FairQueue[str] = FairQueue()
    got = Counter[str]()
    for who, (requests, size_bytes, priority) in asked.items():
        for _ in range(requests):
            queue.join(who, who, size_bytes, priority)
    for _ in range(turns):
        who, size_bytes = queue.next()
        got[who] += size_bytes
        queue.join(who, who, asked[who][1], asked[who][2])
    return got


def test_a_hundred_requests_get_no_more_than_one() -> None:
    got = shares({"one": (1, 1000, FOREGROUND), "many": (100, 1000, FOREGROUND)}, 1000)
    assert abs(got["one"] - got["many"]) <= 1000


def test_shares_are_equal_in_bytes_not_in_turns() -> None:
    got = shares({"small": (1, 100, FOREGROUND), "large": (1, 5000, FOREGROUND)}, 5000)
    assert abs(got["small"] / got["large"] - 1) < 0.05


def test_the_background_hardly_moves_while_somebody_waits_but_moves() -> None:
    got = shares({"user": (1, 1000, FOREGROUND), "scrub": (50, 1000, BACKGROUND)}, 1700)
    assert got["scrub"] > 0
    assert abs(got["user"] / got["scrub"] / BACKGROUND_WEIGHT - 1) < 0.05


def test_who_comes_late_gets_no_more_than_its_share_from_then_on() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        queue.join("early", "early", 1000, FOREGROUND)
    for _ in range(50):
        queue.next()
    for _ in range(100):
        queue.join("late", "late", 1000, FOREGROUND)
    got = Counter(queue.next()[0] for _ in range(40))
    assert abs(got["late"] - got["early"]) <= 1


def test_who_left_is_passed_over_and_forgotten() -> None:
    queue: FairQueue[object] = FairQueue()
    first, second = object(), object()
    queue.join(first, "a", 1000, FOREGROUND)
    queue.join(second, "b", 1000, FOREGROUND)
    queue.leave(first)
    assert queue.next() == (second, 1000)
    assert not queue
