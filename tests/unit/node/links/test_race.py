"""Attempts with a head start on the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from dhtstore.errors import ConnectionLost, DhtstoreError
from dhtstore.node.links.race import Attempt, Race
from simulations.world.loop.virtual_loop import VirtualLoop, run

HEAD_START_S = 0.25


async def first_to_succeed(
    attempts: Iterable[Attempt[float]], head_start_s: float
) -> float | list[DhtstoreError]:
    """What the winner of a race returns, or why there is none."""
    race: Race[float] = Race(head_start_s)
    for attempt in attempts:
        race.add(attempt)
    won = await race.winner()
    assert race.lost == (won is None)
    return race.causes if won is None else won


class Attempts:
    """Attempts that take so many seconds; those below 0 fail after as many."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.began: list[float] = []
        self.cancelled = 0

    def taking(self, *seconds: float) -> list[Attempt[float]]:
        return [lambda s=each: self._attempt(s) for each in seconds]  # type: ignore[misc]

    async def _attempt(self, seconds: float) -> float:
        self.began.append(round(self.loop.time(), 3))
        try:
            await asyncio.sleep(abs(seconds))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if seconds < 0:
            raise ConnectionLost(f"failed after {-seconds}")
        return seconds

    def race(self, *seconds: float) -> float | list[DhtstoreError]:
        return self.run(lambda: first_to_succeed(self.taking(*seconds), HEAD_START_S))

    def run(
        self, work: Callable[[], Awaitable[float | list[DhtstoreError]]]
    ) -> float | list[DhtstoreError]:
        async def main() -> float | list[DhtstoreError]:
            return await work()

        return run(main(), self.loop)


def test_the_first_of_all_that_succeed_wins_alone() -> None:
    attempts = Attempts()
    assert attempts.race(0.2, 0.1) == 0.2
    assert attempts.began == [0]


def test_one_that_is_slow_loses_to_a_later_one_and_is_cancelled() -> None:
    attempts = Attempts()
    assert attempts.race(5, 1, 3) == 1
    assert attempts.began == [0, 0.25, 0.5]
    assert attempts.cancelled == 2


def test_after_a_failure_the_next_begins_at_once() -> None:
    attempts = Attempts()
    assert attempts.race(-0.1, 1) == 1
    assert attempts.began == [0, 0.1]


def test_when_all_fail_each_says_why() -> None:
    outcome = Attempts().race(-3, -0.1)
    assert isinstance(outcome, list)
    assert [str(error) for error in outcome] == ["failed after 0.1", "failed after 3"]


def test_nothing_to_try_fails_for_no_reason() -> None:
    assert Attempts().race() == []


def test_what_is_no_failure_to_succeed_is_raised() -> None:
    async def broken() -> float:
        raise KeyError("a bug")

    attempts = Attempts()
    with pytest.raises(KeyError):
        attempts.run(lambda: first_to_succeed([broken, *attempts.taking(1)], HEAD_START_S))


def test_whoever_gives_up_ends_all() -> None:
    attempts = Attempts()

    async def impatient() -> list[DhtstoreError]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await first_to_succeed(attempts.taking(9, 9), HEAD_START_S)
        return []

    attempts.run(impatient)
    assert attempts.cancelled == 2


def test_an_attempt_that_joins_begins_at_once_unless_the_last_is_young() -> None:
    attempts = Attempts()

    async def joined() -> float:
        race: Race[float] = Race(HEAD_START_S)
        for attempt in attempts.taking(9):
            race.add(attempt)
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, race.add, attempts.taking(9)[0])  # waits for its turn
        loop.call_later(1.0, race.add, attempts.taking(1)[0])
        won = await race.winner()
        assert won is not None
        return won

    assert attempts.run(joined) == 1
    assert attempts.began == [0, 0.25, 1.0]
    assert attempts.cancelled == 2
