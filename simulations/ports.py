"""The rest of the seam in virtual time: Clock, Entropy and Blocking (``net.ports``)."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from typing import TypeVar

from simulations.virtual_loop import VirtualLoop

T = TypeVar("T")
EPOCH_UNIX_S = 1_800_000_000.0  # what wall clocks show when virtual time is 0


class SimClock:
    """Virtual time; ``skew_s`` is how far this node's wall clock is off (its loop's is not)."""

    def __init__(self, loop: VirtualLoop, skew_s: float = 0.0) -> None:
        self._loop, self.skew_s = loop, skew_s

    def monotonic_s(self) -> float:
        return self._loop.time()

    def unix_s(self) -> float:
        return EPOCH_UNIX_S + self._loop.time() + self.skew_s


def derive(seed: int, label: str) -> int:
    """An independent 256-bit seed for one component: SHA-256 of the root seed and its label."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{label}".encode()).digest(), "big")


class SimEntropy:
    """Two streams derived from the root seed and a label: choices do not disturb nonces."""

    def __init__(self, seed: int, label: str) -> None:
        self._rng = random.Random(derive(seed, f"{label}/choices"))
        self._bytes = random.Random(derive(seed, f"{label}/bytes"))

    @property
    def rng(self) -> random.Random:
        return self._rng

    def random_bytes(self, count: int) -> bytes:
        return self._bytes.randbytes(count)


class InlineBlocking:
    """Runs disk work and hashing in the caller: no threads, no reordering.

    ``delay_s`` is what each call takes first, for a slow disk; 0 does not even yield.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return function(*args)

    async def close(self) -> None:
        """Nothing runs."""
