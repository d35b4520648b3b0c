"""Access lines: nothing is lost or made, the line is never idle while something waits, and flows
get equal shares."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.line import PIECE_MAX_BYTES, QUEUE_MIN_BYTES, Line

RATE = 10_000.0
OFFERS = st.lists(
    st.tuples(
        st.integers(0, 3),  # whose
        st.integers(1, 4000),  # bytes
        st.floats(0, 2),  # after how many seconds
        st.booleans(),  # whether it may be dropped
    ),
    max_size=60,
)


class Scene:
    """A link, who offered what and what became of it."""

    def __init__(self, rate: float | None = RATE) -> None:
        self.loop = VirtualLoop()
        self.link = Line(self.loop, rate)
        self.carried: list[tuple[float, int, int]] = []  # when, whose, bytes
        self.lost: list[tuple[int, int]] = []
        self.offered: list[tuple[float, int, int]] = []

    def offer(self, flow: int, size: int, *, droppable: bool = False) -> None:
        self.offered.append((self.loop.time(), flow, size))
        lost = partial(self.lost.append, (flow, size)) if droppable else None
        self.link.carry(flow, size, 0.0, partial(self._carry, flow, size), lost)

    def _carry(self, flow: int, size: int) -> None:
        self.carried.append((self.loop.time(), flow, size))

    def of(self, flow: int, until_s: float) -> int:
        return sum(size for at_s, whose, size in self.carried if whose == flow and at_s <= until_s)


@given(OFFERS)
def test_what_was_offered_is_carried_dropped_or_queued(
    offers: list[tuple[int, int, float, bool]],
) -> None:
    line, at_s = Scene(), 0.0
    for flow, size, after_s, droppable in offers:
        at_s += after_s
        line.loop.post(at_s, partial(line.offer, flow, size, droppable=droppable))
    line.loop.run_for(at_s / 2)
    link = line.link
    told = link.carried_bytes + link.dropped_bytes + link.queued_bytes
    assert told == sum(size for _, _, size in line.offered)
    line.loop.run_for(1000.0)
    assert link.queued_bytes == 0
    assert link.carried_bytes == sum(size for _, _, size in line.carried)
    assert link.dropped_bytes == sum(size for _, size in line.lost)
    for flow in range(4):  # in order within each flow
        mine = [size for _, whose, size in line.carried if whose == flow]
        sent = [size for _, whose, size in line.offered if whose == flow]
        assert _is_subsequence(mine, sent)


def _is_subsequence(some: list[int], every: list[int]) -> bool:
    rest = iter(every)
    return all(one in rest for one in some)


@given(OFFERS)
def test_the_line_is_never_idle_while_something_waits(
    offers: list[tuple[int, int, float, bool]],
) -> None:
    """It ends when one queue served at the rate would, whatever the turns."""
    line, at_s, free_s = Scene(), 0.0, 0.0
    for flow, size, after_s, _ in offers:
        at_s += after_s
        line.loop.post(at_s, partial(line.offer, flow, size))
        free_s = max(free_s, at_s) + size / RATE
    line.loop.run_for(at_s + 1000.0)
    last_s = max((at_s for at_s, _, _ in line.carried), default=0.0)
    assert last_s == pytest.approx(free_s)


@given(st.lists(st.integers(40, 1460), min_size=2, max_size=6))
def test_flows_that_always_wait_get_equal_shares_of_bytes(sizes: list[int]) -> None:
    """However large their packets are: within what one turn gives and a packet."""
    line, until_s = Scene(), 60.0
    for flow, size in enumerate(sizes):
        for _ in range(2 + int(until_s * RATE / len(sizes) / size)):
            line.offer(flow, size)
    line.loop.run_for(until_s)
    shares = [line.of(flow, until_s) for flow in range(len(sizes))]
    assert max(shares) - min(shares) <= 2 * (line.link.piece_bytes + 1460)


def test_a_ping_does_not_wait_for_a_transfer() -> None:
    line = Scene()
    for _ in range(100):
        line.offer(0, 1460)
    line.loop.post(5.0, partial(line.offer, 1, 100))
    line.loop.run_for(100.0)
    [(at_s, _, _)] = [each for each in line.carried if each[1] == 1]
    assert at_s - 5.0 <= (1460 + 100) / RATE + 1e-9


def test_the_fullest_flow_loses_its_newest() -> None:
    line = Scene()
    for _ in range(2 * QUEUE_MIN_BYTES // 1000):
        line.offer(0, 1000, droppable=True)
    line.offer(1, 1000, droppable=True)
    line.loop.run_for(100.0)
    assert {flow for flow, _ in line.lost} == {0}
    assert line.of(1, 100.0) == 1000
    assert line.link.dropped_bytes == QUEUE_MIN_BYTES  # one was on its way


def test_what_may_not_be_dropped_waits() -> None:
    line = Scene()
    for _ in range(3 * QUEUE_MIN_BYTES // 1000):
        line.offer(0, 1000)
    line.loop.run_for(100.0)
    assert not line.lost
    assert line.link.carried_bytes == 1000 * (3 * QUEUE_MIN_BYTES // 1000)


def test_without_a_rate_nothing_waits() -> None:
    line = Scene(None)
    for flow in range(3):
        line.offer(flow, 10**6)
    line.loop.run_for(1e-6)
    assert len(line.carried) == 3
    assert line.link.piece_bytes == PIECE_MAX_BYTES


def test_a_rate_may_change_and_go() -> None:
    line = Scene()
    for _ in range(10):
        line.offer(0, 10_000)
    line.loop.run_for(1.5)
    line.link.bytes_per_s = 2 * RATE
    line.loop.run_for(2.2)  # one more at the old rate, until 2 s; then two a second
    assert [at_s for at_s, _, _ in line.carried] == pytest.approx([1.0, 2.0, 2.5, 3.0, 3.5])
    line.link.bytes_per_s = None
    line.loop.run_for(0.4)
    assert len(line.carried) == 10


def test_what_is_forgotten_is_neither_carried_nor_lost() -> None:
    line = Scene()
    for flow in (0, 1):
        for _ in range(5):
            line.offer(flow, 1000)
    line.link.forget(0)
    line.loop.run_for(10.0)
    assert (line.of(0, 10.0), line.of(1, 10.0)) == (1000, 5000)  # one was being carried
    line.offer(1, 1000)
    line.offer(0, 1000)
    line.link.clear()
    line.loop.run_for(10.0)
    assert line.link.queued_bytes == 0
    assert len(line.carried) == 7
