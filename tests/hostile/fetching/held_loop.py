"""How long one callback holds the event loop, in CPU time of its thread."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HELD_S_MAX = 0.020


@dataclass
class Held:
    """``longest_s`` is what the longest callback took, ``what`` which it was."""

    longest_s: float = 0.0
    what: str = ""


@contextmanager
def watched() -> Iterator[Held]:
    """Every callback of this thread's loop: frames read, tasks stepped, timers.

    CPU time, not time on a clock: a busy machine must not fail it.  Collecting garbage is not
    part of it: when that comes is chance.
    """
    held, run = Held(), asyncio.events.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        started_s = time.thread_time()
        run(handle)
        took_s = time.thread_time() - started_s
        if took_s > held.longest_s:
            held.longest_s, held.what = took_s, repr(handle)

    asyncio.events.Handle._run = timed  # type: ignore[method-assign,assignment]
    gc.disable()
    try:
        yield held
    finally:
        gc.enable()
        asyncio.events.Handle._run = run  # type: ignore[method-assign]
