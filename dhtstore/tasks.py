"""Who owns tasks: every task has an owner that sees it fail and ends it in a fixed order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from dhtstore.errors import ConnectionLost
from dhtstore.trace import Tracer, no_trace

T = TypeVar("T")
Failure = Callable[[str, BaseException], None]


class Supervisor:
    """Owns tasks in the order of their creation.

    A task that fails is told to the tracer and to ``on_failure`` (name, error); use cases that
    await a task see its error there instead and need no supervisor.
    """

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
        if self._closed:
            work.close()
            raise ConnectionLost(f"{name} cannot start: this node is stopping")
        self._last += 1
        number = self._last
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[number] = task
        task.add_done_callback(lambda done: self._ended(number, name, done))
        return task

    async def close(self) -> None:
        """Cancel all, oldest first, and wait until each has ended.  The task that closes the
        supervisor it belongs to is passed over."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks.values() if task is not current]
        for task in tasks:
            task.cancel()
        await all_ended(tasks)

    def _ended(self, number: int, name: str, task: asyncio.Task[Any]) -> None:
        del self._tasks[number]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._tracer("task.failed", name=name, error=repr(error))
            if self._on_failure is not None:
                self._on_failure(name, error)


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
