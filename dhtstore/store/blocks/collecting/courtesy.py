"""Steps of a collection begin when nobody is putting: both want the interpreter, and whoever puts
lets go of it a dozen times, so that each time a step in between is what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_WAITED_MAX_S: Final = 0.005  # for one step, so that room comes back however much is put
_LOOK_S: Final = 0.001


class Courtesy:
    """Thread-safe: one change of a set at a time, and a wrong guess costs milliseconds."""

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep, self._now_s = sleep, now_s
        self._busy: set[object] = set()

    @contextmanager
    def shown(self, who: object) -> Iterator[None]:
        """Steps wait for ``who`` meanwhile."""
        self._busy.add(who)
        try:
            yield
        finally:
            self._busy.discard(who)

    def wait(self) -> None:
        """Until nobody is at work; for milliseconds at most.  In workers."""
        if not self._busy:
            return
        until_s = self._now_s() + _WAITED_MAX_S
        while self._busy and self._now_s() < until_s:
            self._sleep(_LOOK_S)
