"""What one direction of a path does to packets.  Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

MBIT: int = 1_000_000 // 8


@dataclass(frozen=True, slots=True)
class PathShape:
    """Each way: packets take ``delay_s`` and leave at ``bytes_per_s``; of those that would wait for
    longer than ``queue_s`` none does, and ``loss`` of the others are lost."""

    delay_s: float = 0.025
    loss: float = 0.01
    bytes_per_s: float = 100 * MBIT
    queue_s: float = 0.1


class Way:
    """One direction: when each packet comes out of it."""

    def __init__(self, shape: PathShape, rng: random.Random) -> None:
        self._shape, self._rng = shape, rng
        self._free_s = 0.0  # when the line has sent what it was given
        self.lost = self.dropped = self.passed = 0

    def take(self, size_bytes: int, now: float) -> float | None:
        """When a packet that comes in now comes out; None if it does not."""
        begin_s = max(now, self._free_s)
        if begin_s - now > self._shape.queue_s:
            self.dropped += 1
            return None
        self._free_s = begin_s + size_bytes / self._shape.bytes_per_s
        if self._rng.random() < self._shape.loss:
            self.lost += 1
            return None
        self.passed += 1
        return self._free_s + self._shape.delay_s
