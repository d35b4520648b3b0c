"""What open whole batches put and rely on, where that is too much for memory: rows beside those of
the index, which nobody reads and which go when the batch ends, or at the next open.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dhtstore.store.blocks.index_database import IndexDatabase

VARIABLES_MAX: Final = 500  # bound parameters of one query; SQLite allows 999 since 3.0
_RELIED: Final = -1  # the pack of a row that says: stored already, not to be deleted
_DELETED_AT_ONCE: Final = 10_000  # others wait for one such group at most
_ADD: Final = "INSERT OR {} INTO staged VALUES (?, ?, ?, ?, ?, ?)"
_NEW_BY_PACK: Final = """SELECT pack, count(*) FROM staged WHERE batch = ? AND pack >= 0
    AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocks.multihash = staged.multihash)
    GROUP BY pack"""
_INDEX_ALL: Final = """INSERT INTO blocks
    SELECT multihash, pack, offset, length, codec FROM staged WHERE batch = ? AND pack >= 0
    ON CONFLICT DO NOTHING"""
_DELETE_SOME: Final = """DELETE FROM staged WHERE batch = ? AND multihash IN
    (SELECT multihash FROM staged WHERE batch = ? ORDER BY multihash LIMIT ?)"""


class Row(NamedTuple):
    """A block and where it is; as it stands in the index."""

    multihash: bytes
    pack: int
    offset: int
    length: int
    codec: int


class StagedTable:
    """Rows by batch; a batch is a number that is used once while the index is open."""

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database
        self._numbers = itertools.count(1)

    def new_batch(self) -> int:
        return next(self._numbers)

    def add(self, batch: int, rows: Iterable[Row], relied: Iterable[bytes]) -> None:
        """A row replaces that of a block which the batch relied on, and not the other way round.
        Raises NoRoom, HomeUnusable; then nothing was added."""
        with self._database.transaction() as db:
            db.executemany(_ADD.format("REPLACE"), ((batch, *row) for row in rows))
            db.executemany(
                _ADD.format("IGNORE"),
                ((batch, multihash, _RELIED, 0, 0, 0) for multihash in relied),
            )

    def written(self, batch: int, multihash: bytes) -> bool | None:
        """Whether the batch wrote that block, False if it relies on it; None for neither."""
        query = "SELECT pack FROM staged WHERE batch = ? AND multihash = ?"
        rows = self._database.rows(query, (batch, multihash))
        return rows[0][0] != _RELIED if rows else None

    def clear(self, batch: int) -> None:
        """Forget what the batch staged.  Raises NoRoom, HomeUnusable."""
        left = _DELETED_AT_ONCE
        while left == _DELETED_AT_ONCE:
            with self._database.transaction() as db:
                left = db.execute(_DELETE_SOME, (batch, batch, _DELETED_AT_ONCE)).rowcount


def index_staged(db: sqlite3.Connection, batch: int) -> dict[int, int]:
    """Make all blocks of the batch stored ones, within a transaction.  The rows stay: the batch
    relies on them.  Returns how many of each pack were new."""
    added: dict[int, int] = dict(db.execute(_NEW_BY_PACK, (batch,)))
    db.execute(_INDEX_ALL, (batch,))
    return added


def held_by(
    db: sqlite3.Connection, batches: Iterable[int], multihashes: Sequence[bytes]
) -> set[bytes]:
    """Those of the multihashes that one of the batches staged."""
    held: set[bytes] = set()
    for batch in batches:
        for keys in groups(multihashes):
            query = f"SELECT multihash FROM staged WHERE batch = ? AND multihash IN ({marks(keys)})"  # noqa: S608
            held.update(key for (key,) in db.execute(query, (batch, *keys)))
    return held


def groups(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[at : at + VARIABLES_MAX] for at in range(0, len(keys), VARIABLES_MAX))


def marks(keys: Sequence[bytes]) -> str:
    return ",".join("?" * len(keys))
