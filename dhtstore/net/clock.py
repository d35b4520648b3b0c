"""The operating system's clock and entropy."""

from __future__ import annotations

import asyncio
import os
import random
import time


class SystemClock:
    """``net.ports.Clock`` on the running event loop's time and the wall clock."""

    __slots__ = ()

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def unix_s(self) -> float:
        return time.time()


class SystemEntropy:
    """``net.ports.Entropy`` from the kernel."""

    __slots__ = ("_rng",)

    def __init__(self) -> None:
        self._rng = random.Random(os.urandom(32))

    @property
    def rng(self) -> random.Random:
        return self._rng

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)
