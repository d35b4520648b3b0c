"""What batches write or find while operations are under way, which no sweep may take.

Noted by epoch: one begins with each protection that is opened, and what it noted is forgotten when
all that were opened in it or before are closed.  So nothing grows while there is always one open.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dhtstore.store.blocks.collecting.kept import Kept

NOTED_MAX: Final = 4_194_304  # blocks: 40 MiB; a sweep waits for those that have so many


@dataclass(slots=True)
class _Epoch:
    open: int = 0  # protections opened in it, and not closed
    noted: Kept = field(default_factory=Kept)


class Protections:
    """Thread-safe."""

    def __init__(self, noted_max: int = NOTED_MAX) -> None:
        self._noted_max, self._lock = noted_max, threading.Lock()
        self._epochs: deque[_Epoch] = deque()

    def open(self) -> Protected:
        with self._lock:
            if not self._epochs or len(self._epochs[-1].noted):
                self._epochs.append(_Epoch())
            epoch = self._epochs[-1]
            epoch.open += 1
            return Protected(self, epoch)

    def note(self, multihashes: Sequence[bytes]) -> None:
        """A batch writes these blocks, or is about to look for them."""
        if self._epochs:  # mostly there is none: nobody pays for a lock then
            with self._lock:
                if self._epochs:
                    noted, left = self._epochs[-1].noted, self._noted_max - self._count()
                    for multihash in multihashes[: max(0, left)]:
                        noted.add(multihash)

    @property
    def full(self) -> bool:
        """Whether some of it could not be noted: nothing may be taken."""
        with self._lock:
            return self._count() >= self._noted_max

    def __contains__(self, multihash: object) -> bool:
        with self._lock:
            full = self._count() >= self._noted_max
            return full or any(multihash in epoch.noted for epoch in self._epochs)

    def closed(self, epoch: _Epoch) -> None:
        with self._lock:
            epoch.open -= 1
            while self._epochs and not self._epochs[0].open:
                self._epochs.popleft()

    def _count(self) -> int:
        return sum(len(epoch.noted) for epoch in self._epochs)


class Protected:
    """One of the Protections of a store."""

    def __init__(self, protections: Protections, epoch: _Epoch) -> None:
        self._protections, self._epoch = protections, epoch
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._protections.closed(self._epoch)
