"""Whose bytes a limit lets through: by origin, then by peer, then by transfer."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.params import BACKGROUND_WEIGHT, FAIR_IDLE_MAX
from dhtstore.transfer.fair_queue import FairQueue, Payer
from dhtstore.transfer.priority import Priority

FOREGROUND, BACKGROUND = Priority.FOREGROUND, Priority.BACKGROUND
SIZES = st.integers(1, 5000)
PAYERS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))


def payer(origin: str, peer: str = "peer", transfer: str = "transfer") -> Payer:
    return Payer(origin, peer, transfer)


def shares(asked: dict[str, tuple[int, int, Priority]], turns: int) -> Counter[str]:
    """Who gets how many bytes in so many turns: each asks with (requests at a time, bytes of each,
    priority), and again as soon as one has its turn."""
    queue: FairQueue[str] = FairQueue()
    got = Counter[str]()
    for who, (requests, size_bytes, priority) in asked.items():
        for _ in range(requests):
            queue.join(who, payer(who), size_bytes, priority)
    for _ in range(turns):
        who, size_bytes = queue.next()
        got[who] += size_bytes
        queue.join(who, payer(who), asked[who][1], asked[who][2])
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
        queue.join("early", payer("early"), 1000, FOREGROUND)
    for _ in range(50):
        queue.next()
    for _ in range(100):
        queue.join("late", payer("late"), 1000, FOREGROUND)
    got = Counter(queue.next()[0] for _ in range(40))
    assert abs(got["late"] - got["early"]) <= 1


def test_who_left_is_passed_over_and_forgotten() -> None:
    queue: FairQueue[object] = FairQueue()
    first, second = object(), object()
    turn = queue.join(first, payer("a"), 1000, FOREGROUND)
    queue.join(second, payer("b"), 1000, FOREGROUND)
    queue.leave(turn)
    assert queue.next() == (second, 1000)
    assert not queue


def test_a_machine_with_a_hundred_keys_gets_no_more_than_one_with_one() -> None:
    queue: FairQueue[str] = FairQueue()
    for key in range(100):
        for _ in range(20):
            queue.join("crowd", payer("crowd", f"{key}"), 1000, FOREGROUND)
    for _ in range(500):
        queue.join("one", payer("one"), 1000, FOREGROUND)
    got = Counter(queue.next()[0] for _ in range(1000))
    assert abs(got["one"] - got["crowd"]) <= 1


def test_a_peer_with_many_transfers_gets_no_more_than_its_neighbour_with_one() -> None:
    queue: FairQueue[str] = FairQueue()
    for transfer in range(50):
        for _ in range(10):
            queue.join("many", payer("site", "many", f"{transfer}"), 1000, FOREGROUND)
    for _ in range(100):
        queue.join("one", payer("site", "one"), 1000, FOREGROUND)
    got = Counter(queue.next()[0] for _ in range(200))
    assert abs(got["one"] - got["many"]) <= 1


def test_fresh_keys_that_never_end_do_not_starve_who_waits() -> None:
    """Of one origin, since another would not even notice."""
    queue: FairQueue[str] = FairQueue()
    got = Counter[str]()
    queue.join("fresh", payer("site", "0"), 1000, FOREGROUND)
    queue.join("old", payer("site", "old"), 1000, FOREGROUND)
    for turn in range(1000):
        who, size_bytes = queue.next()
        got[who] += size_bytes
        name = "old" if who == "old" else f"{turn}"
        queue.join(who, payer("site", name), 1000, FOREGROUND)
    assert got["old"] > 400_000


def test_what_is_asked_beyond_a_turn_is_paid_for_by_who_asked() -> None:
    queue: FairQueue[str] = FairQueue()
    got = Counter[str]()
    for who in ("greedy", "modest"):
        queue.join(who, payer(who), 1000, FOREGROUND)
    for _ in range(2000):
        who, size_bytes = queue.next()
        if who == "greedy":
            queue.pay(payer(who), 39_000, FOREGROUND)
            size_bytes += 39_000
        got[who] += size_bytes
        queue.join(who, payer(who), 1000, FOREGROUND)
    assert got["greedy"] == pytest.approx(got["modest"], rel=0.05)


@given(st.lists(st.tuples(PAYERS, SIZES, st.booleans()), max_size=80), st.integers(0, 1 << 32))
def test_all_that_waits_is_let_through_once_and_nothing_that_left(
    asked: list[tuple[tuple[int, int, int], int, bool]], seed: int
) -> None:
    """Work is conserved: while somebody waits, somebody is next."""
    dice = random.Random(seed)
    queue: FairQueue[int] = FairQueue()
    waiting: dict[int, int] = {}
    turns = {}
    for number, (names, size_bytes, background) in enumerate(asked):
        priority = BACKGROUND if background else FOREGROUND
        turns[number] = queue.join(number, Payer(*names), size_bytes, priority)
        waiting[number] = size_bytes
        if dice.random() < 0.3:
            gone = dice.choice(list(turns))  # maybe one whose turn was
            queue.leave(turns[gone])
            waiting.pop(gone, None)
        if waiting and dice.random() < 0.3:
            who, given_bytes = queue.next()
            assert waiting.pop(who) == given_bytes
        if dice.random() < 0.2:
            queue.pay(Payer(*names), dice.randrange(5000), priority)
        assert bool(queue) == bool(waiting)
    while waiting:
        who, given_bytes = queue.next()
        assert waiting.pop(who) == given_bytes
    assert not queue
    with pytest.raises(ValueError, match="nobody"):
        queue.next()


@given(
    st.lists(st.lists(st.lists(SIZES, min_size=1, max_size=4), min_size=1, max_size=4),
             min_size=2, max_size=5),
    st.integers(1, 300), st.integers(0, 1 << 32),
)  # fmt: skip
def test_at_any_time_each_origin_and_peer_had_the_same_within_a_grant(
    origins: list[list[list[int]]], rounds: int, seed: int
) -> None:
    """Each inner list is a peer: the sizes of what its transfers ask for, again and again; others
    come and go beside them."""
    dice = random.Random(seed)
    queue: FairQueue[tuple[int, int, int]] = FairQueue()

    def join(origin: int, peer: int, transfer: int) -> None:
        who = origin, peer, transfer
        queue.join(who, Payer(*who), origins[origin][peer][transfer], FOREGROUND)

    for origin, peers in enumerate(origins):
        for peer, transfers in enumerate(peers):
            for transfer in range(len(transfers)):
                join(origin, peer, transfer)
    got: list[Counter[tuple[int, ...]]] = [Counter(), Counter(), Counter()]
    most = max(size for peers in origins for sizes in peers for size in sizes)
    for passing in range(rounds):
        if dice.random() < 0.3:
            turn = queue.join(
                (-1, 0, 0), Payer(-1, passing % 7, 0), dice.randint(1, most), BACKGROUND
            )
            if dice.random() < 0.5:
                queue.leave(turn)
        who, size_bytes = queue.next()
        if who[0] >= 0:
            for level in range(3):
                got[level][who[: level + 1]] += size_bytes
            join(*who)
        _within_a_grant(got, origins, most)


def _within_a_grant(
    got: list[Counter[tuple[int, ...]]], origins: list[list[list[int]]], most: int
) -> None:
    """Neighbours differ by no more than what one of them and one of the other got at a time."""
    for level, groups in enumerate(_neighbours(origins)):
        for group in groups:
            shares = [got[level][name] for name in group]
            assert max(shares) - min(shares) <= 2 * most


def _neighbours(origins: list[list[list[int]]]) -> list[list[list[tuple[int, ...]]]]:
    names = [[(o, p) for p in range(len(peers))] for o, peers in enumerate(origins)]
    transfers = [
        [(o, p, t) for t in range(len(sizes))]
        for o, peers in enumerate(origins)
        for p, sizes in enumerate(peers)
    ]
    return [
        [[(o,) for o in range(len(origins))]],
        [list(each) for each in names],
        [list(each) for each in transfers],
    ]


@given(st.integers(1, 20), st.integers(1, 40))
def test_nobody_waits_longer_than_a_round_of_the_others(origins: int, peers: int) -> None:
    queue: FairQueue[int] = FairQueue()
    for origin in range(origins):
        for peer in range(peers):
            queue.join(0, Payer(origin, peer, 0), 1000, FOREGROUND)
    for _ in range(origins * peers // 2):
        queue.next()
    queue.join(1, Payer("late", 0, 0), 1000, FOREGROUND)
    waited = 0
    while queue.next()[0] == 0:
        queue.join(0, Payer(waited % origins, "again", waited), 1000, FOREGROUND)
        waited += 1
    assert waited <= 2 * origins


def _steps(work: Callable[[], None]) -> int:
    """How many instructions of Python that takes: the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def _churn(keys: int, turns: int = 300) -> int:
    """Steps of one operation, where so many keys wait and others come, leave, pay and end."""
    queue: FairQueue[int] = FairQueue()
    for key in range(keys):
        queue.join(0, Payer(key % 16, key, 0), 1000, FOREGROUND)

    def work() -> None:
        for turn in range(turns):
            queue.leave(queue.join(0, Payer(turn % 20, -turn, 0), 1000, FOREGROUND))
            queue.next()
            queue.join(0, Payer(turn % 16, turn, 1), 1000, FOREGROUND)
            queue.pay(Payer(f"{turn}", 0, 0), 1000, BACKGROUND)

    return _steps(work) // (4 * turns)


def test_an_operation_costs_no_more_with_many_keys_than_with_few() -> None:
    assert _churn(4000) < 1.5 * _churn(40)


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    """Also while nothing is let through, since a limit may have a debt to pay first."""
    queue: FairQueue[int] = FairQueue()
    queue.join(0, payer("site", "waits"), 1000, FOREGROUND)
    for key in range(3000):
        queue.leave(queue.join(key, payer("site", f"{key}"), 1000, FOREGROUND))
        queue.leave(queue.join(key, payer(f"{key}"), 1000, FOREGROUND))
        queue.pay(payer(f"again {key}"), 1000, FOREGROUND)
    assert queue.remembered <= 2 * (3 + 2 * FAIR_IDLE_MAX)
