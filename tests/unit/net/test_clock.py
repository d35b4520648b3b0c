"""Telling from looks at the clocks that a machine slept, or that its wall clock was set; and what
is drawn of the kernel's entropy."""

from __future__ import annotations

import sys
import time

import pytest

from dhtstore.net.clock import ClockJumps, SystemClock, SystemEntropy
from dhtstore.net.ports import Jump
from dhtstore.params import CLOCK_LOOK_S, CLOCK_SET_MIN_S, CLOCK_SLEPT_MIN_S

BEGUN_S, UNIX_S = 1000.0, 1.8e9


class Looks:
    """Two clocks that the test moves, and what looks at them say."""

    def __init__(self) -> None:
        self.monotonic_s, self.unix_s = BEGUN_S, UNIX_S
        self.jumps = ClockJumps(BEGUN_S, UNIX_S)

    def look(self, asleep_s: float = 0.0, set_s: float = 0.0) -> Jump | None:
        """The next look, after the machine slept and the wall clock was set meanwhile."""
        self.monotonic_s += CLOCK_LOOK_S + asleep_s
        self.unix_s += CLOCK_LOOK_S + asleep_s + set_s
        return self.jumps.between_looks(self.monotonic_s, self.unix_s)


def test_nothing_is_told_while_time_passes_as_it_should() -> None:
    looks = Looks()
    assert [looks.look(asleep_s=0.3) for _ in range(1000)] == [None] * 1000


def test_a_sleep_is_told_once_and_how_long_it_was() -> None:
    looks = Looks()
    assert looks.look(asleep_s=49 * 3600) == Jump(49 * 3600, 0.0)
    assert looks.look() is None


def test_a_busy_machine_did_not_sleep() -> None:
    assert Looks().look(asleep_s=CLOCK_SLEPT_MIN_S - 1) is None


@pytest.mark.parametrize("set_s", [-7200.0, 172_800.0])
def test_a_wall_clock_that_was_set_is_told_once(set_s: float) -> None:
    looks = Looks()
    assert looks.look(set_s=set_s) == Jump(0.0, set_s)
    assert looks.look() is None


def test_a_wall_clock_that_is_moved_little_by_little_is_told_when_it_is_much() -> None:
    looks = Looks()
    told = [looks.look(set_s=0.5) for _ in range(200)]
    assert [jump for jump in told if jump] == [Jump(0.0, CLOCK_SET_MIN_S)]


def test_waking_with_another_time_is_both() -> None:
    assert Looks().look(asleep_s=600, set_s=-3600) == Jump(600.0, -3600.0)


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's")
def test_the_monotonic_clock_is_the_one_that_counts_sleep() -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    now_s = SystemClock().monotonic_s()
    assert before_s <= now_s <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_what_was_drawn_does_not_come_again() -> None:
    one, other = SystemEntropy(), SystemEntropy()
    for size in (16, 20, 32):
        drawn = [each.random_bytes(size) for each in (one, other) for _ in range(1000)]
        assert {len(each) for each in drawn} == {size}
        assert len(set(drawn)) == len(drawn)
    page = b"".join(one.random_bytes(7) for _ in range(1000))
    assert all(page.count(page[at : at + 7]) == 1 for at in range(0, len(page), 7))
