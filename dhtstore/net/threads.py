"""Disk and hashing off the event loop, in a few threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
WORKER_THREADS: Final = 3  # the best import rate on two cores was measured with two to three


class ThreadBlocking:
    """``net.ports.Blocking`` on a bounded pool."""

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="dhtstore")

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Whoever is cancelled here waits for a function that has begun: what they clean up
        next (a batch, a descriptor) must not be in use any more."""
        job = self._pool.submit(function, *args)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if not job.cancel():
                await _ended(asyncio.wrap_future(job))
            raise

    async def close(self) -> None:
        """Wait for what runs; what has not started is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


async def _ended(outcome: asyncio.Future[T]) -> None:
    """Wait, also when cancelled once more; what it gives or raises is nobody's any longer."""
    while not outcome.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([outcome])
    if not outcome.cancelled():
        outcome.exception()
