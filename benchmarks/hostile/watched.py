"""``dhtstore`` with a watch on its event loop: ``python -m benchmarks.hostile.watched FILE ...``.

A timer of 10 ms notes how late it is.  What the kernel kept the thread waiting for a core
(schedstat) is taken off: on a machine that others use too that is no stall of ours.  FILE gets a
line for each beat that came late: when, and by how many milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Final, TextIO

from dhtstore.cli.main import main as dhtstore

BEAT_S: Final = 0.01
LATE_MIN_S: Final = 0.005
WAITS: Final = Path("/proc/thread-self/schedstat")  # running, waiting for a core: nanoseconds


class WatchedPolicy(asyncio.DefaultEventLoopPolicy):
    """Its loops beat from their beginning on."""

    def __init__(self, notes: TextIO) -> None:
        super().__init__()
        self._notes = notes

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        loop.call_soon(_beat, loop, self._notes, None)
        return loop


def _beat(loop: asyncio.AbstractEventLoop, notes: TextIO, last: tuple[float, float] | None) -> None:
    now_s, waited_s = time.monotonic(), int(WAITS.read_bytes().split()[1]) / 1e9
    if last is not None:
        late_s = now_s - last[0] - BEAT_S - (waited_s - last[1])
        if late_s > LATE_MIN_S:
            print(f"{now_s:.3f} {late_s * 1000:.1f}", file=notes, flush=True)
            now_s = time.monotonic()
    loop.call_later(BEAT_S, _beat, loop, notes, (now_s, waited_s))


if __name__ == "__main__":
    with Path(sys.argv.pop(1)).open("w") as file:
        asyncio.set_event_loop_policy(WatchedPolicy(file))
        dhtstore()
