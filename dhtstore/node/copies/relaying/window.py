"""Blocks in memory that are being received, for those who get them from here.

All receives of a node share RELAY_MEMORY_BYTES.  Where that is too little, the oldest block of
whoever has most goes: it is read again from where it is staged.  So one who takes slowly costs the
receive nothing, and others no memory.
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

    def put(self, window: RelayWindow, blocks: Sequence[tuple[bytes, Lease]]) -> None:
        """Multihashes and blocks; nothing is taken into one that is closed."""
        with self._lock:
            if window not in self._windows:
                return
            for multihash, lease in blocks:
                self._held_bytes += window.take(multihash, lease)
            while self._held_bytes > self._size_bytes:
                most = max(self._windows, key=lambda each: each.held_bytes)
                self._held_bytes -= most.drop_oldest()

    def close(self, window: RelayWindow) -> None:
        with self._lock:
            if window in self._windows:
                del self._windows[window]
                self._held_bytes -= window.held_bytes


class RelayWindow:
    """Those of one receive."""

    def __init__(self, memory: RelayMemory) -> None:
        self.held_bytes = 0
        self._memory = memory
        # By multihash, the oldest first.  Who has found a view has it for good: a buffer that is
        # seen by anybody is not used again, while a lease that was given back shows nothing.
        self._blocks: dict[bytes, tuple[Lease, memoryview]] = {}

    def keep(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> None:
        """Verified blocks, whose buffers are used for others afterwards.  For worker threads."""
        self._memory.put(self, [(cid.multihash, _copied(data)) for cid, data in blocks])

    def get(self, cid: Cid) -> memoryview | None:
        """Its bytes stay what they are for as long as they are looked at."""
        found = self._blocks.get(cid.multihash)
        return None if found is None else found[1]

    def close(self) -> None:
        """May be called twice."""
        self._memory.close(self)
        blocks, self._blocks = self._blocks, {}
        for multihash in list(blocks):
            blocks.pop(multihash)[0].release()

    def take(self, multihash: bytes, lease: Lease) -> int:
        """For RelayMemory: how many bytes more that is."""
        if multihash in self._blocks:
            lease.release()
            return 0
        self._blocks[multihash] = lease, lease.view
        self.held_bytes += len(lease.view)
        return len(lease.view)

    def drop_oldest(self) -> int:
        """For RelayMemory: how many bytes fewer that is."""
        lease, view = self._blocks.pop(next(iter(self._blocks)))
        size_bytes = len(view)
        del view  # else the pool could not use its buffer
        self.held_bytes -= size_bytes
        lease.release()
        return size_bytes


def _copied(data: bytes | memoryview) -> Lease:
    lease = block_buffers.lend(len(data))
    lease.view[:] = data
    return lease
