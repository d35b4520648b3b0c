"""Rows of the index a page at a time, for compaction: what is looked at holds nobody up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.store.blocks.index_database import IndexDatabase
from dhtstore.store.blocks.packs import RECORD_MORE_BYTES
from dhtstore.store.blocks.staged_table import Row, marks

_LOOKED_AT_ROWS: Final = 10_000  # at once, for those of one pack: 2 ms
_PAGE_END: Final = """SELECT max(multihash) FROM
    (SELECT multihash FROM blocks WHERE multihash > ? ORDER BY multihash LIMIT ?)"""
_OF_PACKS: Final = """SELECT multihash, pack, offset, length, codec FROM blocks
    WHERE multihash > ? AND multihash <= ? AND pack IN ({}) ORDER BY multihash"""
_USES: Final = """SELECT pack, count(*), sum("length" + length(multihash) + ?) FROM blocks
    WHERE multihash > ? AND multihash <= ? GROUP BY pack"""


class RowPages:
    """Thread-safe."""

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def uses(self, after: bytes) -> tuple[dict[int, tuple[int, int]], bytes | None]:
        """Of the next rows behind ``after`` how many lie in each pack and how many bytes their
        records have; and where the next look begins, None at the end."""
        last = self._page_end(after)
        if last is None:
            return {}, None
        rows = self._database.rows(_USES, (RECORD_MORE_BYTES, after, last))
        return {pack: (count, size_bytes) for pack, count, size_bytes in rows}, last

    def rows_of(self, packs: Sequence[int], after: bytes) -> tuple[list[Row], bytes | None]:
        """Those of the next rows behind ``after`` that lie in these packs, by multihash: for
        compaction, which copies them elsewhere; and where the next look begins, None at the end.

        Rows are not ordered by pack, since an index of that would cost each block written more
        than a pack that is emptied now and then; so all rows are looked at, a page at a time.
        """
        last = self._page_end(after)
        if last is None:
            return [], None
        rows = self._database.rows(_OF_PACKS.format(marks(packs)), (after, last, *packs))
        return [Row(*row) for row in rows], last

    def _page_end(self, after: bytes) -> bytes | None:
        """The last multihash of the page of rows that begins behind ``after``; None at the end."""
        last: bytes | None = self._database.rows(_PAGE_END, (after, _LOOKED_AT_ROWS))[0][0]
        return last
