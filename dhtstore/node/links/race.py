"""Several ways to one end, each with a head start on the next (RFC 8305, Happy Eyeballs)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from dhtstore.errors import DhtstoreError
from dhtstore.tasks import Supervisor

T = TypeVar("T")
Attempt = Callable[[], Coroutine[Any, Any, T]]


async def first_to_succeed(
    attempts: Iterable[Attempt[T]], head_start_s: float
) -> T | list[DhtstoreError]:
    """What the first attempt that succeeds returns, or why each failed, in that order.

    The next one begins when one failed, or after ``head_start_s``.  When this ends, all have.
    """
    running: list[asyncio.Task[T | DhtstoreError]] = []
    causes: list[DhtstoreError] = []
    runners, ended, waiting = Supervisor(), asyncio.Event(), list(attempts)[::-1]
    try:
        while waiting or running:
            if waiting:
                running.append(runners.spawn(_outcome(waiting.pop()), "attempt"))
                running[-1].add_done_callback(lambda _: ended.set())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(head_start_s if waiting else None):
                    await ended.wait()
            ended.clear()
            for attempt in [each for each in running if each.done()]:
                running.remove(attempt)
                outcome = attempt.result()
                if not isinstance(outcome, DhtstoreError):
                    return outcome
                causes.append(outcome)
    finally:
        await runners.close()
    return causes


async def _outcome(attempt: Attempt[T]) -> T | DhtstoreError:
    try:
        return await attempt()
    except DhtstoreError as error:
        return error
