"""Blocks in memory that are being received, for those who get them from here.

All receives of a node share RELAY_MEMORY_BYTES.  Where that is too little, the newest block of
whoever has most goes: it is read again from where it is staged.  So one who takes slowly costs the
receive nothing, and others no memory; and what it wants next, being older, is still here, while
for who never takes anything no further block is copied.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dhtstore.model.cid import Cid
from dhtstore.node.links.buffers import Lease, block_buffers
from dhtstore.params import RELAY_MEMORY_BYTES


class RelayMemory:
    """What all windows of one node may hold together.  Thread-safe."""

    def __init__(self, size_bytes: int = RELAY_MEMORY_BYTES) -> None:
        self._size_bytes, self._held_bytes = size_bytes, 0
        self._windows: dict[RelayWindow, None] = {}
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    def window(self) -> RelayWindow:
        """A new one, to be closed."""
        window = RelayWindow(self)
        with self._lock:
            self._windows[window] = None
        return window

    def takes(self, window: RelayWindow, size_bytes: int) -> bool:
        """Whether a block of that size would stay, of a window that is open."""
        with self._lock:
            most_bytes = max((each.held_bytes for each in self._windows), default=0)
            fits = self._held_bytes + size_bytes <= self._size_bytes
            return window in self._windows and (
                fits or window.held_bytes + size_bytes <= most_bytes
            )

    def put(self, window: RelayWindow, multihash: bytes, lease: Lease) -> None:
        """Nothing is taken into a window that is closed."""
        with self._lock:
            if window not in self._windows:
                return
            self._held_bytes += window.take(multihash, lease)
            while self._held_bytes > self._size_bytes:
                most = max(self._windows, key=lambda each: each.held_bytes)
                self._held_bytes -= most.drop_newest()

    def give(self, window: RelayWindow, multihash: bytes) -> Lease | None:
        """For ``RelayWindow.give``."""
        with self._lock:
            lease = window.lose(multihash)
            self._held_bytes -= 0 if lease is None else len(lease.view)
            return lease

    def close(self, window: RelayWindow) -> None:
        with self._lock:
            if window in self._windows:
                del self._windows[window]
                self._held_bytes -= window.held_bytes


class RelayWindow:
    """Those of one receive that nobody was given yet."""

    def __init__(self, memory: RelayMemory) -> None:
        self.held_bytes = 0
        self._memory = memory
        self._blocks: dict[bytes, Lease] = {}  # by multihash, the oldest first

    def keep(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> None:
        """Verified blocks, whose buffers are used for others afterwards.  For worker threads."""
        for cid, data in blocks:
            if self._memory.takes(self, len(data)):
                self._memory.put(self, cid.multihash, _copied(data))

    def give(self, cid: Cid) -> Lease | None:
        """A block, once: each is mostly asked for by one peer.  It is the caller's to release."""
        return self._memory.give(self, cid.multihash)

    def close(self) -> None:
        """May be called twice."""
        self._memory.close(self)
        blocks, self._blocks = self._blocks, {}
        for lease in blocks.values():
            lease.release()

    def take(self, multihash: bytes, lease: Lease) -> int:
        """For RelayMemory: how many bytes more that is."""
        if multihash in self._blocks:
            lease.release()
            return 0
        self._blocks[multihash] = lease
        self.held_bytes += len(lease.view)
        return len(lease.view)

    def lose(self, multihash: bytes) -> Lease | None:
        """For RelayMemory: it has it no more."""
        lease = self._blocks.pop(multihash, None)
        self.held_bytes -= 0 if lease is None else len(lease.view)
        return lease

    def drop_newest(self) -> int:
        """For RelayMemory: how many bytes fewer that is."""
        lease = self._blocks.popitem()[1]
        size_bytes = len(lease.view)
        self.held_bytes -= size_bytes
        lease.release()
        return size_bytes


def _copied(data: bytes | memoryview) -> Lease:
    lease = block_buffers.lend(len(data))
    lease.view[:] = data
    return lease
