"""The end of a life: its tasks are cancelled until none is left, its memory is freed."""

from __future__ import annotations

import asyncio
import gc

from dhtstore.tasks import Supervisor, tell_the_loop
from simulations.world.loop.virtual_loop import VirtualLoop

_REAPINGS_MAX = 20  # a task that survives so many cancellations is reported, not chased
_REAP_EVERY_S = 1.0
_COLLECT_EVERY_MIN = 100  # lives that ended before their memory is searched for


class Reaper:
    """``zombies`` are tasks of lives that ended and that would not, by the machine's number."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._tasks = Supervisor(on_failure=tell_the_loop)
        self._ended = 0
        self.collects = True  # not where all ends: what would be kept for the next look goes anyway
        self.zombies: dict[int, list[str]] = {}

    def kill(self, number: int, life: int, machines: int) -> None:
        """End a life at once, and again while something catches its cancellation and goes on."""
        self._cancel(life)
        self._tasks.spawn(self._reap(number, life, machines), f"reap life {life}")

    async def bury(self, number: int, life: int, machines: int) -> None:
        """A while after a life ended: note what lives on, and free now and then what does not: a
        node is a cycle of objects."""
        await asyncio.sleep(_REAP_EVERY_S)
        self._note(number, life, machines)

    def _cancel(self, life: int) -> int:
        tasks = self._loop.tasks_of(life)
        for task in tasks:
            task.cancel()
        return len(tasks)

    async def _reap(self, number: int, life: int, machines: int) -> None:
        for _ in range(_REAPINGS_MAX):
            await asyncio.sleep(_REAP_EVERY_S)
            if not self._cancel(life):
                break
        self._note(number, life, machines)

    def _note(self, number: int, life: int, machines: int) -> None:
        left = [task.get_name() for task in self._loop.tasks_of(life)]
        if left:
            self.zombies[number] = left
        self._ended += 1
        if self.collects and self._ended >= max(_COLLECT_EVERY_MIN, machines // 12):
            self._ended = 0
            gc.collect()
