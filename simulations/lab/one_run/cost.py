"""What a run costs the machine it runs on: time, memory, and less of both than it could."""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections.abc import Iterator

_COLLECTION_THRESHOLDS = (200_000, 50, 10)  # rarely; a population frees its dead nodes itself


class Cost:
    """CPU time since it was made or since ``restart``, real time between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.wall_s = self.run_cpu_s = self._started_s = 0.0
        self.of_beginning = dict[str, float]()
        self.restart()

    def restart(self) -> None:
        """Count CPU time from now on."""
        self._cpu_before_s = time.process_time()

    def begun(self) -> None:
        """The world is made."""
        cpu_s, rss_bytes = self._cpu_s(), peak_rss_bytes()
        self.of_beginning = {"begin_cpu_s": cpu_s, "begin_rss_bytes": rss_bytes}

    def start(self) -> None:
        self._started_s = time.monotonic()

    def stop(self) -> None:
        self.wall_s, self.run_cpu_s = time.monotonic() - self._started_s, self._cpu_s()

    def summary(self, messages: int) -> dict[str, float]:
        """For ``summary.json``."""
        return {
            "wall_s": self.wall_s,
            "messages_per_wall_s": messages / max(self.wall_s, 1e-9),
            "cpu_s": self.run_cpu_s,
            "cpu_us_per_message": 1e6 * self.run_cpu_s / max(messages, 1),
            "rss_bytes": peak_rss_bytes(),
            **self.of_beginning,
        }

    def _cpu_s(self) -> float:
        return time.process_time() - self._cpu_before_s


def peak_rss_bytes() -> int:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Nodes that died are cyclic garbage; but a search of millions of objects for it is dear."""
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
