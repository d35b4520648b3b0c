"""How much of each pack is dead: what its file has beyond the records that rows name."""

from __future__ import annotations

from typing import NamedTuple

from dhtstore.store.blocks.compacting.row_pages import RowPages
from dhtstore.store.blocks.index import Index
from dhtstore.store.blocks.pool import PackPool


class PackUse(NamedTuple):
    """``live_bytes`` are of records that rows name, their headers included."""

    pack: int
    end: int
    live: int  # blocks
    live_bytes: int

    @property
    def dead_bytes(self) -> int:
        return max(0, self.end - self.live_bytes)


class PackSurvey:
    """Rows say nothing of packs in their order, and to keep sums would cost each block written: so
    all rows are looked at, a page at a time, while others read and write.  What comes or goes
    meanwhile makes it no worse than a little wrong."""

    def __init__(self, index: Index, pool: PackPool) -> None:
        self._pages, self._pool = RowPages(index.database), pool
        self._after: bytes | None = b""
        self._counts: dict[int, tuple[int, int]] = {}

    def look(self) -> bool:
        """A step of some milliseconds; False when it is done.  Raises HomeUnusable."""
        if self._after is None:
            return False
        counts, self._after = self._pages.uses(self._after)
        for pack, (live, live_bytes) in counts.items():
            before = self._counts.get(pack, (0, 0))
            self._counts[pack] = (before[0] + live, before[1] + live_bytes)
        return self._after is not None

    def packs(self) -> list[PackUse]:
        """Of packs that nobody writes to now."""
        ends = self._pool.ends()
        return [PackUse(pack, end, *self._counts.get(pack, (0, 0))) for pack, end in ends.items()]
