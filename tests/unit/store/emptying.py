"""Compaction of one pack, however little of it is dead."""

from __future__ import annotations

from dhtstore.store.blocks.compacting.row_pages import RowPages
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import Index
from dhtstore.store.blocks.staged_table import Row


def empty_pack(store: DiskBlockStore, pack: int) -> None:
    """Move every indexed block of ``pack``, unless a batch writes to it."""
    work = store.compaction()
    while work.look():
        pass
    work._due = [use for use in work._survey.packs() if use.pack == pack]
    while work.step():
        pass


def blocks_of(index: Index, pack: int) -> list[Row]:
    pages, rows = RowPages(index.database), list[Row]()
    after: bytes | None = b""
    while after is not None:
        some, after = pages.rows_of([pack], after)
        rows += some
    return rows
