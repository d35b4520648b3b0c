"""Who is asked for which block: order, windows, failures, hedges."""

from __future__ import annotations

import pytest

from dhtstore.params import (
    HEDGE_DELAY_MIN_S,
    MIB,
    WANTS_PER_REQUEST_MAX,
    WINDOW_BYTES,
    WINDOW_START_BYTES,
)
from dhtstore.transfer.books import Supplier
from dhtstore.transfer.scheduler import LACKS_MAX, Ask, Scheduler

UNIT, OTHER = b"unit", b"other"


def filled(wants: int, size_bytes: int = MIB, sources: str = "a") -> Scheduler[str]:
    scheduler: Scheduler[str] = Scheduler()
    for source in sources:
        scheduler.add_holder(source, UNIT)
    for sequence in range(wants):
        scheduler.want(sequence, UNIT, size_bytes)
    return scheduler


def drive(
    scheduler: Scheduler[str], rates: dict[str, float], size_bytes: int = MIB
) -> tuple[dict[str, int], float]:
    """Sources that send one block after another at ``rates`` bytes/s; blocks by source, time."""
    queues: dict[str, list[int]] = {source: [] for source in rates}
    free_at = dict.fromkeys(rates, 0.0)
    delivered = dict.fromkeys(rates, 0)
    now = 0.0
    while scheduler.unfinished:
        for ask in scheduler.next(now):
            if not queues[ask.holder]:
                free_at[ask.holder] = now + size_bytes / rates[ask.holder]
            queues[ask.holder] += ask.wants
        busy = [source for source in rates if queues[source]]
        source = min(busy, key=lambda name: free_at[name])
        due = scheduler.hedge_due_s(now)
        if due is not None and now + due < free_at[source]:
            now += max(due, 1e-6)
            continue
        now = free_at[source]
        sequence = queues[source].pop(0)
        free_at[source] = now + size_bytes / rates[source]
        if scheduler.arrived(source, sequence, size_bytes, now) and scheduler.finish(sequence):
            delivered[source] += 1
    return delivered, now


def test_wants_are_asked_for_in_order_within_the_first_window() -> None:
    scheduler = filled(4)
    assert scheduler.next(0.0) == [Ask("a", (0,))]
    assert scheduler.next(0.0) == []


def test_small_blocks_go_many_to_a_request() -> None:
    scheduler = filled(1000, size_bytes=4096)
    asks = scheduler.next(0.0)
    assert asks[0].wants == tuple(range(WANTS_PER_REQUEST_MAX))
    assert sum(len(ask.wants) for ask in asks) * 4096 <= WINDOW_START_BYTES


def test_sources_take_turns() -> None:
    scheduler = filled(3, sources="abc")
    assert scheduler.next(0.0) == [Ask("a", (0,)), Ask("b", (1,)), Ask("c", (2,))]


def test_what_is_asked_for_at_once_is_bounded_and_sources_take_turns_all_the_same() -> None:
    scheduler = filled(12, sources="abc", size_bytes=WINDOW_START_BYTES // 4)
    asked = [scheduler.next(0.0, wants_max=4) for _ in range(4)]
    assert [ask.holder for asks in asked for ask in asks] == ["a", "b", "c"]
    assert [sum(len(ask.wants) for ask in asks) for asks in asked] == [4, 4, 4, 0]


def test_whoever_fails_loses_its_turn() -> None:
    scheduler = filled(12, sources="abc", size_bytes=WINDOW_START_BYTES // 4)
    assert [ask.holder for ask in scheduler.next(0.0, wants_max=1)] == ["a"]
    scheduler.fail("b", "gone")
    assert [ask.holder for ask in scheduler.next(0.0, wants_max=1)] == ["c"]


def test_a_block_larger_than_the_window_is_still_asked_for() -> None:
    scheduler = filled(2, size_bytes=2 * WINDOW_START_BYTES)
    assert scheduler.next(0.0) == [Ask("a", (0,))]


def test_a_prompt_source_gets_a_larger_window_up_to_the_limit() -> None:
    scheduler = filled(200)
    now, owed = 0.0, [s for ask in scheduler.next(0.0) for s in ask.wants]
    most = len(owed)
    while owed:
        now += 0.001
        sequence = owed.pop(0)
        scheduler.arrived("a", sequence, MIB, now)
        scheduler.finish(sequence)
        owed += [s for ask in scheduler.next(now) for s in ask.wants]
        most = max(most, len(owed))
    assert most == WINDOW_BYTES // MIB


def test_blocks_go_to_sources_in_proportion_to_their_speed() -> None:
    delivered, took_s = drive(filled(500, sources="abc"), {"a": 100e6, "b": 100e6, "c": 1e6})
    assert delivered["c"] <= 6
    assert abs(delivered["a"] - delivered["b"]) < 100
    assert took_s < 1.15 * 500 * MIB / 200e6


def test_a_failed_source_gives_its_wants_back_in_order() -> None:
    scheduler = filled(3, sources="ab")
    assert scheduler.next(0.0) == [Ask("a", (0,)), Ask("b", (1,))]
    scheduler.fail("a", "gone")
    scheduler.arrived("b", 1, MIB, 0.01)
    scheduler.finish(1)
    assert scheduler.next(0.01) == [Ask("b", (0,)), Ask("b", (2,))]


def test_a_want_is_not_asked_of_a_source_that_lacks_it() -> None:
    scheduler = filled(2, sources="ab")
    scheduler.next(0.0)
    scheduler.lacks("a", 0, "does not have it", now=0.0)
    scheduler.arrived("b", 1, MIB, 0.01)
    assert scheduler.next(0.01) == [Ask("b", (0,))]


def test_sources_are_only_asked_for_units_they_hold() -> None:
    scheduler = filled(1)
    scheduler.want(7, OTHER, MIB)
    assert scheduler.next(0.0) == [Ask("a", (0,))]
    assert scheduler.stuck() == [7]
    scheduler.add_holder("b", OTHER)
    assert scheduler.stuck() == []
    assert scheduler.next(0.0) == [Ask("b", (7,))]


def test_a_want_nobody_is_left_for_is_stuck_with_its_causes() -> None:
    scheduler = filled(1, sources="ab")
    scheduler.next(0.0)
    scheduler.lacks("a", 0, "does not have it", now=0.0)
    assert scheduler.stuck() == []
    scheduler.fail("b", "gone")
    assert scheduler.stuck() == [0]
    assert scheduler.causes(0) == {"a": "does not have it", "b": "gone"}


def test_wants_that_are_owed_are_not_stuck() -> None:
    scheduler = filled(1)
    scheduler.next(0.0)
    assert scheduler.stuck() == []


def test_an_idle_source_is_asked_for_what_another_owes_for_long() -> None:
    scheduler = filled(1, sources="ab")
    assert scheduler.next(0.0) == [Ask("a", (0,))]
    due_s = scheduler.hedge_due_s(0.0)
    assert due_s is not None
    assert due_s >= HEDGE_DELAY_MIN_S
    assert scheduler.next(due_s / 2) == []
    assert scheduler.next(due_s) == [Ask("b", (0,))]
    assert scheduler.next(due_s * 9) == []
    assert scheduler.hedge_due_s(due_s) is None


def test_the_second_answer_to_a_hedged_want_is_not_wanted() -> None:
    scheduler = filled(1, sources="ab")
    scheduler.next(0.0)
    scheduler.next(9.0)
    assert scheduler.arrived("b", 0, MIB, 9.1)
    assert scheduler.finish(0)
    assert not scheduler.arrived("a", 0, MIB, 9.2)
    assert not scheduler.finish(0)


def test_a_want_whose_bytes_were_wrong_is_asked_of_another() -> None:
    scheduler = filled(1, sources="ab")
    scheduler.next(0.0)
    scheduler.arrived("a", 0, MIB, 0.1)
    assert scheduler.next(0.1) == []  # being verified: nobody's turn
    scheduler.fail("a", "sent wrong bytes")
    scheduler.retry(0)
    assert scheduler.next(0.1) == [Ask("b", (0,))]


def test_after_a_hedge_the_slow_source_is_free_again() -> None:
    scheduler = filled(1, sources="ab")
    scheduler.next(0.0)
    scheduler.next(9.0)
    scheduler.arrived("b", 0, MIB, 9.1)
    scheduler.finish(0)
    scheduler.want(1, UNIT, MIB)
    scheduler.want(2, UNIT, MIB)
    assert [ask.holder for ask in scheduler.next(9.2)][:2] == ["a", "b"]


def test_a_source_that_comes_back_is_asked_again() -> None:
    scheduler = filled(1)
    scheduler.next(0.0)
    scheduler.fail("a", "gone")
    scheduler.add_holder("a", UNIT)
    assert scheduler.next(1.0) == [Ask("a", (0,))]


def test_a_timer_that_ends_a_rounding_error_early_is_enough_for_a_hedge() -> None:
    """Found as an endless loop: due in 0 seconds, and never overdue."""
    scheduler = filled(1, sources="ab")
    now = 0.1 + 0.2
    scheduler.next(now)
    due_s = scheduler.hedge_due_s(now)
    assert due_s is not None
    assert scheduler.next(now + due_s - 1e-12) == [Ask("b", (0,))]


def test_a_wide_window_is_filled_by_few_large_requests() -> None:
    """A request costs both sides as much work as a block: one a block halved the rate."""
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add_holder("a", b"unit")
    for sequence in range(256):
        scheduler.want(sequence, b"unit", MIB)
    asked: list[int] = []
    while scheduler.unfinished:
        for ask in scheduler.next(0.0):
            asked.append(len(ask.wants))
            for sequence in ask.wants:
                scheduler.arrived("a", sequence, MIB, 0.001)
                scheduler.finish(sequence)
    assert asked[0] == 1, "nothing is known of the source yet"
    assert asked[-2] == 4
    assert len(asked) < 100


def test_no_more_is_asked_for_than_there_is_room() -> None:
    scheduler = filled(8, sources="ab")
    assert scheduler.next(0.0, MIB - 1) == []
    assert scheduler.next(0.0, MIB) == [Ask("a", (0,))]
    assert scheduler.next(9.0, MIB) == [], "what is owed takes room, and a second copy too"
    assert scheduler.hedge_due_s(9.0, MIB) is None
    assert scheduler.owed_bytes == MIB
    scheduler.arrived("a", 0, MIB, 9.0)
    assert scheduler.owed_bytes == 0


def test_what_was_passed_over_is_asked_for_again_as_what_it_was_told_to_be() -> None:
    scheduler = filled(100, size_bytes=1)
    [ask] = scheduler.next(0.0)
    assert len(ask.wants) == 100
    for sequence in ask.wants:
        scheduler.passed_over("a", sequence, MIB, now=0.0)
    assert scheduler.owed_bytes == 0
    assert scheduler.next(0.1) == [Ask("a", (0,))]
    assert scheduler.owed_bytes == MIB
    scheduler.add_holder("b", UNIT)
    [ask] = scheduler.next(0.1)
    assert len(ask.wants) == 99, "what one holder tells is its own"


def test_who_lacks_much_of_what_it_is_said_to_hold_is_asked_no_more() -> None:
    scheduler = filled(1000, size_bytes=1)
    asked = 0
    while asks := scheduler.next(0.0):
        for ask in asks:
            for sequence in ask.wants:
                asked += 1
                scheduler.lacks("a", sequence, "does not have it", now=0.0)
    assert asked <= LACKS_MAX + WANTS_PER_REQUEST_MAX
    assert scheduler.stuck()


def test_small_blocks_that_are_overdue_are_asked_of_an_idle_source_together() -> None:
    scheduler = filled(300, size_bytes=4096, sources="a")
    owed = [sequence for ask in scheduler.next(0.0) for sequence in ask.wants]
    for sequence in range(len(owed), 300):
        scheduler.finish(sequence)
    scheduler.add_holder("b", UNIT)
    [ask] = scheduler.next(9.0)
    assert ask == Ask("b", tuple(owed[:WANTS_PER_REQUEST_MAX]))


def test_an_event_costs_the_same_however_much_is_wanted() -> None:
    """Found as 4,096 wants times 64 holders, looked at for each block that came."""
    scheduler: Scheduler[str] = Scheduler()
    for holder in range(64):
        scheduler.add_holder(f"idle {holder}", OTHER)
    scheduler.add_holder("a", UNIT)
    for sequence in range(4096):
        scheduler.want(sequence, UNIT, 1)
    looked_at = 0

    class Counted(dict[int, object]):
        def values(self):  # type: ignore[no-untyped-def]
            nonlocal looked_at
            looked_at += len(self)
            return super().values()

    scheduler.next(0.0)
    scheduler._wants = Counted(scheduler._wants)  # type: ignore[assignment]
    for sequence in range(100):
        scheduler.arrived("a", sequence, 1, 0.1)
        scheduler.finish(sequence)
        scheduler.next(0.1)
        scheduler.hedge_due_s(0.1)
        scheduler.stuck()
    assert looked_at == 0


@pytest.mark.parametrize(("took_s", "requests"), [(0.1, 2), (1.0, 1)])
def test_a_quick_holder_always_has_a_second_request_waiting(took_s: float, requests: int) -> None:
    """One request at a time leaves the line idle for a round trip after each."""
    holder = Supplier("far")
    holder.answered(WINDOW_START_BYTES, 0.0, took_s)
    for number in range(2, 50):  # each late, as where packets get lost
        now = number * took_s
        holder.answered(WINDOW_START_BYTES, max(0.0, now - 6 * took_s), now)
        assert holder.window_bytes >= requests * WINDOW_START_BYTES
    assert holder.window_bytes < 8 * WINDOW_START_BYTES


def test_answers_that_were_all_asked_for_before_shrink_a_window_once() -> None:
    """Each of them says the same; what all of them leave is less than a long line holds."""
    holder = Supplier("far")
    holder.answered(WINDOW_START_BYTES, 0.0, 0.2)
    holder.window_bytes = before_bytes = WINDOW_BYTES
    for number in range(16):
        holder.answered(WINDOW_START_BYTES, 0.5, 1.5 + number * 0.08)
    assert holder.window_bytes == before_bytes / 2
    holder.answered(WINDOW_START_BYTES, 3.0, 5.0)
    assert holder.window_bytes == before_bytes / 4
