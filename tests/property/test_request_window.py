"""The window of requests, whatever comes of them in whatever order."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.dht.core.asking.window import ANSWERS_A_JUDGEMENT, LIMIT_MIN, RequestWindow
from dhtstore.params import RPC_IN_FLIGHT_MAX


def judged(window: RequestWindow[int], busy: int, lost_share: float, rng: random.Random) -> None:
    """Answers for one judgement, with that many requests out."""
    for number in range(busy):
        window.begin(number)
    for number in range(busy):
        window.end(number)
    for _ in range(ANSWERS_A_JUDGEMENT):
        window.answered(lost=rng.random() < lost_share)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_each_is_sent_once_in_turn_and_never_too_many(seed: int, steps: int) -> None:
    rng, sent, forgotten = random.Random(seed), list[int](), set[int]()
    out, begun = set[int](), 0

    def start(request: int) -> None:
        sent.append(request)
        out.add(request)

    window: RequestWindow[int] = RequestWindow(start)
    window.limit = float(LIMIT_MIN)
    for _ in range(steps):
        for _ in range(rng.randint(0, 5)):
            if window.begin(begun):
                start(begun)
            begun += 1
        if rng.random() < 0.2 and window.forget(one := rng.randrange(begun + 1)):
            forgotten.add(one)
        for request in rng.sample(sorted(out), rng.randint(0, len(out))):
            out.discard(request)
            window.end(request)
            window.end(request)  # said twice is said once
        assert len(out) == window.out <= LIMIT_MIN
        assert not window.waiting or window.out == LIMIT_MIN
    for request in list(out):
        while request in out:
            out.discard(request)
            window.end(request)
    while out:
        out.discard(one := next(iter(out)))
        window.end(one)
    assert window.out == window.waiting == 0
    assert sent == sorted(sent), "first come, first sent"
    assert set(sent) | forgotten == set(range(begun))
    assert not set(sent) & forgotten


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200), st.floats(0.5, 1.0))
def test_much_lost_brings_it_down_and_little_up_again(
    seed: int, busy: int, lost_share: float
) -> None:
    rng, window = random.Random(seed), RequestWindow[int](lambda request: None)
    limits = [window.limit]
    for _ in range(40):
        judged(window, busy, lost_share, rng)
        limits.append(window.limit)
    assert limits == sorted(limits, reverse=True)
    assert limits[1] <= max(busy, LIMIT_MIN), "less than was out, not than might have been"
    assert limits[-1] == LIMIT_MIN
    for _ in range(50):
        judged(window, busy, 0.0, rng)
    assert window.limit > 200
    for _ in range(200):
        judged(window, busy, 0.0, rng)
    assert window.limit == RPC_IN_FLIGHT_MAX


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 100))
def test_a_radio_link_that_loses_three_in_a_hundred_costs_nothing(seed: int, busy: int) -> None:
    rng, window = random.Random(seed), RequestWindow[int](lambda request: None)
    for _ in range(20):
        judged(window, busy, 1 - 0.97**2, rng)
    assert window.limit == RPC_IN_FLIGHT_MAX


@given(st.lists(st.booleans(), max_size=300))
def test_those_who_never_answer_change_nothing(forgets: list[bool]) -> None:
    window = RequestWindow[int](lambda request: None)
    for number, forgets_it in enumerate(forgets):
        window.begin(number)
        if not forgets_it:
            window.end(number)
    assert window.limit == RPC_IN_FLIGHT_MAX


def test_what_was_late_was_not_lost() -> None:
    window = RequestWindow[int](lambda request: None)
    for _ in range(4 * ANSWERS_A_JUDGEMENT):
        window.answered(lost=True)
        window.was_late()
    assert window.limit == RPC_IN_FLIGHT_MAX
