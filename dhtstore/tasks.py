"""Who owns tasks: every task has an owner that sees it fail and ends it in a fixed order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from dhtstore.errors import ConnectionLost, DutyFailed
from dhtstore.trace import Tracer, no_trace

T = TypeVar("T")
Failure = Callable[[str, BaseException], None]
_Failed = Callable[[asyncio.Task[Any]], BaseException | None]


def tell_the_loop(name: str, error: BaseException) -> None:
    """For ``on_failure`` where a failure is a bug and costs nobody else anything: the event
    loop's exception handler logs it."""
    context = {"message": f"{name} failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


class Supervisor:
    """Owns tasks in the order of their creation: those that end, and duties, which must not.

    A task that fails and a duty that ends are told to the tracer and to ``on_failure`` (name,
    error), unless their owner has cancelled them.  Use cases that await a task see its error
    there instead and need no supervisor.
    """

    __slots__ = ("_closed", "_last", "_on_failure", "_tasks", "_tracer")

    def __init__(self, tracer: Tracer = no_trace, on_failure: Failure | None = None) -> None:
        self._tracer, self._on_failure = tracer, on_failure
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._last = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        return self._closed

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[Any]:
        """Run ``work`` until it ends or this supervisor closes; raises ConnectionLost when it
        has closed already: whatever wanted to start is part of what was shut down."""
        return self._begin(work, name, _error_of)

    def spawn_duty(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[Any]:
        """As ``spawn``, for work that goes on until it is cancelled: that it returns, or that
        what it waits for is cancelled under it, is a failure too and told as DutyFailed."""
        return self._begin(work, name, _error_of_duty)

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Cancel all, oldest first, and start nothing any more; the tasks, which are yet to end.
        The task that calls this is passed over."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks.values() if task is not current]
        for task in tasks:
            task.cancel()
        return tasks

    async def idle(self, within_s: float) -> None:
        """Wait until all that run now have ended, for that long at most."""
        if within_s > 0 and self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=within_s)

    async def close(self) -> None:
        """Cancel all, oldest first, and wait until each has ended."""
        await all_ended(self.cancel())

    def _begin(
        self, work: Coroutine[Any, Any, object], name: str, failure: _Failed
    ) -> asyncio.Task[Any]:
        if self._closed:
            work.close()
            raise ConnectionLost(f"{name} cannot start: this node is stopping")
        self._last += 1
        number = self._last
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[number] = task
        task.add_done_callback(lambda done: self._ended(number, name, failure(done)))
        return task

    async def settle(self, at_most_s: float) -> None:
        """Let what runs now come to its end, but wait no longer than that."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=at_most_s)

    def _ended(self, number: int, name: str, error: BaseException | None) -> None:
        del self._tasks[number]
        if error is not None:
            self._tracer("task.failed", name=name, error=repr(error))
            if self._on_failure is not None:
                self._on_failure(name, error)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _error_of_duty(task: asyncio.Task[Any]) -> BaseException | None:
    if not task.cancelled():
        return task.exception() or DutyFailed("it returned")
    return None if task.cancelling() else DutyFailed("what it waited for was cancelled")


class Alarm:
    """Rests that can be cut short: by whoever knows that something is to be done now.  One rests
    at a time.  A future and a timer: of an Event and a timeout, which take ten times the memory, a
    node would hold half a dozen at all times."""

    __slots__ = ("_resting", "_rung")

    def __init__(self) -> None:
        self._rung = False
        self._resting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """End the rest that is going on, or the next one."""
        self._rung = True
        if self._resting is not None:
            _end(self._resting)

    async def rest(self, at_most_s: float) -> bool:
        """Wait that long, or until the alarm rings; whether it rang."""
        if not self._rung:
            loop = asyncio.get_running_loop()
            self._resting = loop.create_future()
            timer = loop.call_later(at_most_s, _end, self._resting)
            try:
                await self._resting
            finally:
                timer.cancel()
                self._resting = None
        rung, self._rung = self._rung, False
        return rung


def _end(rest: asyncio.Future[None]) -> None:
    if not rest.done():
        rest.set_result(None)


async def run_all(work: Sequence[Callable[[], Coroutine[Any, Any, T]]], limit: int) -> list[T]:
    """Run all, at most ``limit`` at a time, started in order; results in order.

    The first error cancels the rest, in order, and is raised when they have ended.
    """
    results: dict[int, T] = {}
    waiting = iter(enumerate(work))

    async def worker() -> None:
        for at, start in waiting:
            results[at] = await start()

    tasks = [asyncio.create_task(worker()) for _ in range(min(limit, len(work)))]
    try:
        await _first_error(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await all_ended(tasks)
    return [results[at] for at in range(len(work))]


async def pipelined(
    jobs: Iterable[Callable[[], Coroutine[Any, Any, T]]], limit: int
) -> AsyncGenerator[T, None]:
    """Start up to ``limit`` jobs at once, yield results in the jobs' order.

    The first failure is raised and the jobs still running are cancelled and waited for, so that
    nothing of them touches what the caller cleans up next.  Use inside ``contextlib.aclosing``.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        for job in jobs:
            running.append(asyncio.create_task(job()))
            if len(running) >= limit:
                yield await running[0]
                running.popleft()
        while running:
            yield await running[0]
            running.popleft()
    finally:
        for task in running:
            task.cancel()
        await all_ended(running)


async def all_ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until each has ended, well or not; at once if all have.

    In the place of ``asyncio.gather``, which then lets others go first up to Python 3.11 only:
    one seed would not be one run on every Python.
    """
    for task in list(tasks):  # of a table that loses those that end
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen, though not looked at: its owner has told it


async def _first_error(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all have ended well; raises the first error as soon as there is one."""
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = len(tasks)

    def ended(task: asyncio.Task[None]) -> None:
        nonlocal left
        left -= 1
        if outcome.done():
            return
        if task.cancelled():
            outcome.cancel()
        elif (error := task.exception()) is not None:
            outcome.set_exception(error)
        elif not left:
            outcome.set_result(None)

    for task in tasks:
        task.add_done_callback(ended)
    if tasks:
        await outcome
