"""Buffers for blocks on their way in and out, lent and used again, in any thread.

A fresh one costs a page fault for each 4 KiB, and a wipe.  Whoever is done with the bytes of one
gives its lease back.  A lease that is never given back costs a fresh buffer, and one that is
given back too early costs no more: a bytearray cannot change its size while there is a view of
it, by the rules of the language, so the pool can tell and lends out only what nobody sees.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from dhtstore.params import CHUNK_SIZE_BYTES

BUFFERS_KEPT: Final = 40  # the window of one fetch and what waits to be written, or ten reads


class Lease:
    """``view`` is the holder's until it calls ``release``; its bytes are then anybody's.  Several
    holders may ``share`` it: the last of them to release it gives it back."""

    __slots__ = ("_buffer", "_gone", "_holders", "_pool", "view")

    def __init__(
        self, view: memoryview, buffer: bytearray | None = None, pool: BufferPool | None = None
    ) -> None:
        self.view = view
        self._buffer, self._pool = buffer, pool
        self._holders = 1
        self._gone: Callable[[], None] | None = None

    def share(self, holders: int) -> None:
        """So many are to release it."""
        self._holders = holders

    def when_gone(self, gone: Callable[[], None]) -> None:
        """Call this when the bytes are needed no more."""
        self._gone = gone

    def release(self) -> None:
        """Give the buffer back; once more than there are holders nothing happens."""
        self._holders -= 1
        if self._holders:
            return
        self.view = _NO_BYTES
        if self._buffer is not None and self._pool is not None:
            self._pool.keep(self._buffer)
        self._buffer = None
        if self._gone is not None:
            self._gone()


class BufferPool:
    """Lends buffers; keeps at most ``count`` of ``size_bytes`` that nobody uses.

    Every byte of a buffer is what its last holder left: whoever takes it fills it first.
    """

    def __init__(self, size_bytes: int, count: int) -> None:
        self._size_bytes, self._count = size_bytes, count
        self._unused: deque[bytearray] = deque()

    def lend(self, size_bytes: int) -> Lease:
        """A buffer of exactly that size; one that was used before if it is of the usual size."""
        if not size_bytes:
            return _NOTHING
        if size_bytes != self._size_bytes:
            return Lease(memoryview(bytearray(size_bytes)))
        buffer = self._seen_by_nobody() or _resizable(size_bytes)
        return Lease(memoryview(buffer), buffer, self)

    def keep(self, buffer: bytearray) -> None:
        """For ``Lease.release``."""
        if len(self._unused) < self._count:
            self._unused.append(buffer)

    def _seen_by_nobody(self) -> bytearray | None:
        """The buffer that was given back the longest ago; those still seen are given up."""
        while True:
            try:
                buffer = self._unused.popleft()
            except IndexError:
                return None  # or another thread took the last
            try:
                buffer.append(0)
            except BufferError:
                continue
            del buffer[-1:]
            return buffer


def _resizable(size_bytes: int) -> bytearray:
    """A buffer with room for the byte that ``_seen_by_nobody`` adds, so that nothing moves."""
    buffer = bytearray(size_bytes + 1)
    del buffer[-1:]
    return buffer


_NO_BYTES: Final = memoryview(bytearray())  # to be read into, as all others
_NOTHING: Final = Lease(_NO_BYTES)
block_buffers: Final = BufferPool(CHUNK_SIZE_BYTES, BUFFERS_KEPT)
