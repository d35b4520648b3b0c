"""Run jobs a few at a time and take their results in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


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
        await _cancel_all(running)


async def _cancel_all(running: deque[asyncio.Task[T]]) -> None:
    for task in running:
        task.cancel()
    for task in running:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            # the failure that matters is on its way to the caller already
            await task
