"""The pack that compaction copies to."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.store.blocks.packs import PackWriter
from dhtstore.store.blocks.pool import PackPool
from dhtstore.store.blocks.quota import Quota


class CopyTarget:
    """One at a time, taken when something is copied.  ``number`` of a pack that was taken."""

    def __init__(self, pool: PackPool, quota: Quota) -> None:
        self._pool, self._quota = pool, quota
        self._writer: PackWriter | None = None
        self._known = 0  # of it, what the index knows

    @property
    def number(self) -> int:
        return self._taken.number

    @property
    def unknown_bytes(self) -> int:
        return self._taken.end - self._known

    def fits(self, size_bytes: int) -> bool:
        writer = self._writer
        return writer is None or writer.end + size_bytes <= self._pool.pack_size_bytes

    def reserve(self, size_bytes: int) -> int:
        """A place for so many bytes, before a byte is written.  Raises NoRoom, HomeUnusable."""
        self._quota.take(size_bytes, frees=True)
        if self._writer is None:
            try:
                self._writer = self._pool.checkout(size_bytes)
            except BaseException:
                self._quota.untake(size_bytes, None)
                raise
            self._known = self._writer.end
        return self._writer.reserve(size_bytes)

    def write(self, parts: Sequence[bytes], size_bytes: int) -> None:
        """What was reserved last."""
        self._taken.write(self._taken.end - size_bytes, parts)
        self._taken.unwritten -= size_bytes

    def sync(self) -> None:
        self._taken.sync()

    def known_up_to(self, end: int) -> int:
        """The index is about to know so much, or more."""
        self._known = max(self._known, end)
        return self._known

    def leave(self) -> None:
        """What the index does not know is cut off."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            self._pool.checkin(writer, self._known)

    @property
    def _taken(self) -> PackWriter:
        assert self._writer is not None, "something was copied there"
        return self._writer
