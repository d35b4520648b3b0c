"""Who owns tasks, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from dhtstore.errors import ConnectionLost, NotFound
from dhtstore.tasks import Supervisor, all_ended, run_all


async def test_a_failure_is_told_with_its_name() -> None:
    told: list[tuple[str, str]] = []
    supervisor = Supervisor(on_failure=lambda name, error: told.append((name, str(error))))

    async def fail() -> None:
        raise NotFound("nothing there")

    task = supervisor.spawn(fail(), "searching")
    await asyncio.wait([task])
    assert told == [("searching", "nothing there")]
    assert len(supervisor) == 0


class Told:
    """What a supervisor told of failures."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.supervisor = Supervisor(on_failure=self._note)

    def _note(self, name: str, error: BaseException) -> None:
        self.failures.append((name, repr(error)))


async def test_a_duty_that_returns_has_failed_and_other_work_has_not() -> None:
    told = Told()
    tasks = [
        told.supervisor.spawn(asyncio.sleep(0), "work"),
        told.supervisor.spawn_duty(asyncio.sleep(0), "listening"),
    ]
    await asyncio.wait(tasks)
    assert told.failures == [("listening", "DutyFailed('it returned')")]


async def test_a_duty_whose_work_is_cancelled_under_it_has_failed() -> None:
    told, waited_for = Told(), asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await waited_for

    duty = told.supervisor.spawn_duty(wait(), "listening")
    await asyncio.sleep(0)
    waited_for.cancel()
    await asyncio.wait([duty])
    assert told.failures == [("listening", "DutyFailed('what it waited for was cancelled')")]


async def test_a_duty_that_its_owner_ends_has_not_failed() -> None:
    told = Told()
    one = told.supervisor.spawn_duty(asyncio.Event().wait(), "one")
    told.supervisor.spawn_duty(asyncio.Event().wait(), "other")
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    await told.supervisor.close()
    assert told.failures == []


async def test_close_cancels_in_the_order_of_creation_and_waits() -> None:
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    supervisor = Supervisor()
    for number in range(5):
        supervisor.spawn(wait(number), str(number))
    await asyncio.sleep(0)
    await supervisor.close()
    assert ended == [0, 1, 2, 3, 4]
    assert len(supervisor) == 0


async def test_nothing_starts_after_close() -> None:
    supervisor = Supervisor()
    await supervisor.close()
    with pytest.raises(ConnectionLost):
        supervisor.spawn(asyncio.sleep(0), "late")


async def test_cancelling_does_not_wait_and_lets_nothing_start() -> None:
    supervisor = Supervisor()
    task = supervisor.spawn(asyncio.Event().wait(), "waiting")
    assert supervisor.cancel() == [task]
    assert not task.done()
    with pytest.raises(ConnectionLost):
        supervisor.spawn(asyncio.sleep(0), "late")
    await all_ended([task])
    assert task.cancelled()


async def test_settling_waits_for_what_ends_but_no_longer() -> None:
    supervisor = Supervisor()
    short = supervisor.spawn(asyncio.sleep(0), "short")
    await supervisor.settle(60.0)
    assert short.done()
    supervisor.spawn(asyncio.Event().wait(), "for ever")
    await supervisor.settle(0.0)
    assert len(supervisor) == 1
    await supervisor.close()


async def test_results_come_in_order_and_never_more_than_the_limit_run() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - number):
            await asyncio.sleep(0)
        running -= 1
        return number

    assert await run_all([partial(work, n) for n in range(5)], limit=2) == [0, 1, 2, 3, 4]
    assert most == 2


async def test_the_first_error_ends_the_rest() -> None:
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def fail() -> None:
        raise NotFound("first")

    work: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(wait, 0),
        fail,
        partial(wait, 2),
        partial(wait, 3),
    ]
    with pytest.raises(NotFound, match="first"):
        await run_all(work, limit=3)
    assert ended == [0, 2]


async def test_nothing_to_run_is_done() -> None:
    assert await run_all([], limit=3) == []


async def test_waiting_for_what_has_ended_lets_nobody_go_first() -> None:
    """Or the number of steps of a task, which faults count, would depend on the Python."""

    async def fail() -> None:
        raise NotFound("seen by its owner")

    tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.wait(tasks)
    with pytest.raises(StopIteration):
        all_ended(tasks).send(None)


async def test_a_table_that_forgets_tasks_as_they_end_can_be_waited_for() -> None:
    begun = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
    left = dict.fromkeys(begun)
    for task in begun:
        task.add_done_callback(left.pop)
    await all_ended(left)
    assert all(task.done() for task in begun)


async def test_who_waits_for_all_is_cancelled_with_them() -> None:
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    running = asyncio.create_task(run_all([partial(wait, n) for n in range(3)], limit=2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == [0, 1]
