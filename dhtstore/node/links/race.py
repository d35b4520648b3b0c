"""Several ways to one end, each with a head start on the next (RFC 8305, Happy Eyeballs)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from dhtstore.errors import DhtstoreError
from dhtstore.tasks import Supervisor

T = TypeVar("T")
Attempt = Callable[[], Coroutine[Any, Any, T]]


class Race(Generic[T]):
    """Attempts at one thing, also those that are added while others run; the first that succeeds
    ends all.  ``causes`` is why others failed, in that order; ``lost`` when all have."""

    def __init__(self, head_start_s: float) -> None:
        self.causes: list[DhtstoreError] = []
        self.lost = False
        self._head_start_s = head_start_s
        self._waiting: deque[Attempt[T]] = deque()
        self._running: list[asyncio.Task[T | DhtstoreError]] = []
        self._runners, self._news = Supervisor(), asyncio.Event()

    def add(self, attempt: Attempt[T]) -> None:
        """It begins when one before it has failed, or has had its head start."""
        self._waiting.append(attempt)
        self._news.set()

    async def winner(self) -> T | None:
        """What the first attempt that succeeds returns, None when all have failed.  When this
        ends, all have."""
        next_s = (now_s := asyncio.get_running_loop().time)()
        try:
            while self._waiting or self._running:
                if self._waiting and now_s() >= next_s:
                    self._begin(self._waiting.popleft())
                    next_s = now_s() + self._head_start_s
                await self._news_by(next_s if self._waiting else None)
                for attempt in [each for each in self._running if each.done()]:
                    self._running.remove(attempt)
                    outcome = attempt.result()
                    if not isinstance(outcome, DhtstoreError):
                        return outcome
                    self.causes.append(outcome)
                    next_s = now_s()
            self.lost = True
            return None
        finally:
            await self._runners.close()

    def _begin(self, attempt: Attempt[T]) -> None:
        running = self._runners.spawn(_outcome(attempt), "attempt")
        running.add_done_callback(lambda _: self._news.set())
        self._running.append(running)

    async def _news_by(self, deadline_s: float | None) -> None:
        """Wait until an attempt has ended or was added, at most until ``deadline_s``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline_s):
                await self._news.wait()
        self._news.clear()


async def _outcome(attempt: Attempt[T]) -> T | DhtstoreError:
    try:
        return await attempt()
    except DhtstoreError as error:
        return error
