"""A real event loop with real sockets whose clock leaps: nine days on UDP take a second."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Final

ARRIVAL_MAX_S: Final = 0.25  # real seconds, for what is on its way over loopback
TURN_S: Final = 1e-6  # of a loop: time never stands still
GRACE_S: Final = 0.001  # likewise, where nobody counts what is on its way


class LeapingLoop(asyncio.SelectorEventLoop):
    """``time()`` is virtual seconds from 0.  It leaps to the next timer as soon as nothing can be
    read or written and nothing is on its way, of which ``on_its_way`` tells the number; None where
    nobody knows."""

    def __init__(self) -> None:
        self._now = 0.0
        self.on_its_way: Callable[[], int | None] = lambda: None
        self.lost_on_the_way: Callable[[], object] = lambda: None
        self.unhandled: list[BaseException] = []
        super().__init__(_LeapingSelector(self))
        self.set_exception_handler(self._unseen)

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        self._now += seconds

    def _unseen(self, loop: object, context: dict[str, Any]) -> None:
        self.unhandled.append(context.get("exception") or RuntimeError(context["message"]))


class _LeapingSelector(selectors.DefaultSelector):
    """Waits for what comes, never for time to pass."""

    def __init__(self, loop: LeapingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.leap(TURN_S)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        coming = self._loop.on_its_way()
        if coming is None or coming > 0:
            ready = super().select(GRACE_S if coming is None else ARRIVAL_MAX_S)
        if not ready and coming:
            self._loop.lost_on_the_way()
        if not ready:
            self._loop.leap(timeout if timeout is not None else 1.0)
        return ready
