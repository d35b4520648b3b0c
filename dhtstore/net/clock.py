"""The operating system's clocks and entropy."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Final

from dhtstore.net.ports import Jump, OnJump
from dhtstore.params import CLOCK_LOOK_S, CLOCK_SET_MIN_S, CLOCK_SLEPT_MIN_S
from dhtstore.tasks import Supervisor

# Linux has a clock that goes on while the machine sleeps; elsewhere CLOCK_MONOTONIC does, unlike
# the event loop's time().
_COUNTS_SLEEP: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SHORT_MAX_BYTES: Final = 20
_PAGE_BYTES: Final = 4000


class SystemClock:
    """``net.ports.Clock``, which two looks a minute tell from a clock that jumped."""

    __slots__ = ()

    def monotonic_s(self) -> float:
        return time.clock_gettime(_COUNTS_SLEEP)

    def unix_s(self) -> float:
        return time.time()

    def local_minute(self) -> tuple[int, int]:
        local = time.localtime()
        return local.tm_wday, local.tm_hour * 60 + local.tm_min

    def watch(self, on_jump: OnJump, duties: Supervisor) -> None:
        duties.spawn_duty(self._look(on_jump), "clock-watch")

    async def _look(self, on_jump: OnJump) -> None:
        """Timers of the event loop stand still in sleep: one that is late tells how long it was."""
        jumps = ClockJumps(self.monotonic_s(), self.unix_s())
        while True:
            await asyncio.sleep(CLOCK_LOOK_S)
            jump = jumps.between_looks(self.monotonic_s(), self.unix_s())
            if jump is not None:
                on_jump(jump)


class ClockJumps:
    """Tells from looks that are CLOCK_LOOK_S of waking time apart what happened in between."""

    def __init__(self, monotonic_s: float, unix_s: float) -> None:
        self._looked_s = monotonic_s
        self._offset_s = unix_s - monotonic_s

    def between_looks(self, monotonic_s: float, unix_s: float) -> Jump | None:
        """None unless the machine slept or the wall clock was set, at once or little by little."""
        asleep_s = monotonic_s - self._looked_s - CLOCK_LOOK_S
        set_s = unix_s - monotonic_s - self._offset_s
        self._looked_s = monotonic_s
        asleep_s = asleep_s if asleep_s >= CLOCK_SLEPT_MIN_S else 0.0
        set_s = set_s if abs(set_s) >= CLOCK_SET_MIN_S else 0.0
        self._offset_s += set_s
        return Jump(asleep_s, set_s) if asleep_s or set_s else None


class SystemEntropy:
    """``net.ports.Entropy`` from the kernel; what is as short as the id of a message is cut from a
    page that was drawn before, since a node needs one for every request."""

    __slots__ = ("_page", "_rng", "_used")

    def __init__(self) -> None:
        self._rng = random.Random(os.urandom(32))
        self._page, self._used = b"", 0

    @property
    def rng(self) -> random.Random:
        return self._rng

    def random_bytes(self, count: int) -> bytes:
        if count > _SHORT_MAX_BYTES:  # keys are not left lying about
            return os.urandom(count)
        begin, end = self._used, self._used + count
        if end > len(self._page):
            self._page, begin, end = os.urandom(_PAGE_BYTES), 0, count
        self._used = end
        return self._page[begin:end]
