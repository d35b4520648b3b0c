"""What open whole batches put and rely on, where that is too much for memory: rows beside those of
the index, which nobody reads and which go when the batch ends, or at the next open.

To commit them all in one transaction would keep others out for minutes.  So a small one says that
the batch is committed: from then on its rows are read here, too, and are brought into the index in
slices, by multihash; ``merged`` is how far.  What a crash interrupts goes on at the next open.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dhtstore.errors import DhtstoreError
from dhtstore.store.blocks.index_database import ANY_ROWS, IndexDatabase

VARIABLES_MAX: Final = 500  # bound parameters of one query; SQLite allows 999 since 3.0
_RELIED: Final = -1  # the pack of a row that says: stored already, not to be deleted
_AT_ONCE_ROWS: Final = 4096  # others wait for one transaction of so many at most
_SLICE_END: Final = """SELECT max(multihash) FROM (SELECT multihash FROM staged
    WHERE batch = ? AND multihash > ? ORDER BY multihash LIMIT ?)"""
_OF_THE_SLICE: Final = (
    "FROM staged WHERE batch = ? AND multihash > ? AND multihash <= ? AND pack >= 0"
)
_BY_PACK: Final = f"SELECT pack, count(*) {_OF_THE_SLICE} GROUP BY pack"
_STORED_BY_PACK: Final = f"""SELECT pack, count(*) {_OF_THE_SLICE} AND EXISTS
    (SELECT 1 FROM blocks WHERE blocks.multihash = staged.multihash) GROUP BY pack"""  # noqa: S608
_MERGE: Final = f"""INSERT INTO blocks SELECT multihash, pack, offset, length, codec
    {_OF_THE_SLICE} ON CONFLICT DO NOTHING"""
_NOT_MERGED: Final = """batch = {0} AND pack >= 0
    AND multihash > (SELECT merged FROM committed WHERE batch = {0})"""
_DELETE_SOME: Final = """DELETE FROM staged WHERE batch = ? AND multihash IN
    (SELECT multihash FROM staged WHERE batch = ? ORDER BY multihash LIMIT ?)"""


class Row(NamedTuple):
    """A block and where it is; as it stands in the index."""

    multihash: bytes
    pack: int
    offset: int
    length: int
    codec: int


class Settled(NamedTuple):
    """How many rows of each pack were not needed, since the block was stored, and how many staged
    rows went."""

    stored: dict[int, int]
    cleared: int


class StagedTable:
    """Rows by batch; a batch is a number that is used once while the index is open.

    ``unmerged`` are those that are committed and not all in the index."""

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database
        self.unmerged = tuple(database.committed)
        self._left: list[int] = []  # batches that were left before all of theirs was merged
        self._lock = threading.Lock()
        self._numbers = itertools.count(max(database.committed, default=0) + 1)

    @property
    def blocks(self) -> str:
        """Where to read what is stored, as SQL: in one statement, since rows move."""
        if not self.unmerged:
            return "blocks"
        columns = "SELECT multihash, pack, offset, length, codec"
        parts = [_NOT_MERGED.format(batch) for batch in self.unmerged]
        more = [f" UNION ALL {columns} FROM staged WHERE {part}" for part in parts]
        return f"({columns} FROM blocks{''.join(more)})"

    def new_batch(self) -> int:
        return next(self._numbers)

    def add(self, batch: int, rows: Collection[Row], relied: Iterable[bytes]) -> int:
        """A row replaces that of a block which the batch relied on, and not the other way round.
        How many rows there are more.  Raises NoRoom, HomeUnusable; then nothing was added."""
        staged = [(batch, *row) for row in rows]
        unread = [(batch, multihash, _RELIED, 0, 0, 0) for multihash in relied]
        with self._database.transaction(len(staged) + len(unread), grows=True) as db:
            more = _add(db, "IGNORE", staged)
            if more < len(staged):
                _add(db, "REPLACE", staged)
            return more + _add(db, "IGNORE", unread)

    def written(self, batch: int, multihash: bytes) -> bool | None:
        """Whether the batch wrote that block, False if it relies on it; None for neither."""
        query = "SELECT pack FROM staged WHERE batch = ? AND multihash = ?"
        rows = self._database.rows(query, (batch, multihash))
        return rows[0][0] != _RELIED if rows else None

    def find(self, batch: int, multihash: bytes) -> Row | None:
        """Where the block lies, if the batch wrote it."""
        query = (
            "SELECT multihash, pack, offset, length, codec FROM staged"
            " WHERE batch = ? AND multihash = ? AND pack >= 0"
        )
        rows = self._database.rows(query, (batch, multihash))
        return Row(*rows[0]) if rows else None

    def count_by_pack(self, batch: int) -> dict[int, int]:
        """How many blocks of each pack it wrote.  Raises HomeUnusable."""
        counts: dict[int, int] = {}
        after = b""
        while last := self._database.rows(_SLICE_END, (batch, after, _AT_ONCE_ROWS))[0][0]:
            for pack, count in self._database.rows(_BY_PACK, (batch, after, last)):
                counts[pack] = counts.get(pack, 0) + count
            after = last
        return counts

    def committed(self, batch: int) -> None:
        """A transaction said so, and is over."""
        with self._lock:
            self.unmerged = (*self.unmerged, batch)

    def settle(self) -> Settled | None:
        """Bring a slice of what is committed into the index, or clear one; None if there is
        nothing to do.  Raises NoRoom, HomeUnusable."""
        with self._lock:
            if self.unmerged:
                stored = self._merge_some(self.unmerged[0])
                if stored is None:
                    self.unmerged = self.unmerged[1:]
                return Settled(stored or {}, 0)
            if self._left:
                cleared = self._clear_some(self._left[0])
                if not cleared:
                    del self._left[0]
                    self._database.shrink()
                return Settled({}, cleared)
            return None

    def finish(self) -> None:
        """At the open: all that is committed is merged, and no row stays here.  Raises NoRoom,
        HomeUnusable."""
        if self.unmerged:
            while self.settle() is not None:
                pass  # nothing is counted yet
            with self._database.transaction(ANY_ROWS) as db:
                db.execute("DELETE FROM staged")

    def _merge_some(self, batch: int) -> dict[int, int] | None:
        """None at the end."""
        with self._database.transaction(_AT_ONCE_ROWS, grows=True) as db:
            query = "SELECT merged FROM committed WHERE batch = ?"
            [(after,)] = db.execute(query, (batch,))
            [(last,)] = db.execute(_SLICE_END, (batch, after, _AT_ONCE_ROWS))
            if last is None:
                db.execute("DELETE FROM committed WHERE batch = ?", (batch,))
                return None
            stored: dict[int, int] = dict(db.execute(_STORED_BY_PACK, (batch, after, last)))
            db.execute(_MERGE, (batch, after, last))
            take_from_live(db, stored)
            db.execute("UPDATE committed SET merged = ? WHERE batch = ?", (last, batch))
            return stored

    def clear(self, batch: int) -> Iterator[int]:
        """Forget what the batch staged, and make the file smaller; others have their turns in
        between.  How many rows went each time.  What nobody may forget yet, or the disk does not
        let go, is left to ``settle``.  Raises NoRoom, HomeUnusable."""
        with self._lock:
            if batch in self.unmerged:
                self._left.append(batch)
                return
        try:
            while cleared := self._clear_some(batch):
                yield cleared
            self._database.shrink()
        except DhtstoreError:
            with self._lock:
                self._left.append(batch)
            raise

    def _clear_some(self, batch: int) -> int:
        """How many; 0 at the end.  What is free is cut off at once: to find free pages among many
        takes long."""
        with self._database.transaction(_AT_ONCE_ROWS) as db:
            cleared = db.execute(_DELETE_SOME, (batch, batch, _AT_ONCE_ROWS)).rowcount
            self._database.cut_some(db)
        return cleared

    def leave(self, db: sqlite3.Connection, multihashes: Sequence[bytes]) -> None:
        """Within a transaction: rows of these are not read any more; who relies on them does."""
        for batch in self.unmerged:
            for keys in groups(multihashes):
                where = f"{_NOT_MERGED.format(batch)} AND multihash IN ({marks(keys)})"
                db.execute(f"UPDATE staged SET pack = {_RELIED} WHERE {where}", keys)  # noqa: S608


def _add(db: sqlite3.Connection, otherwise: str, rows: Sequence[tuple[object, ...]]) -> int:
    """How many rows were written."""
    query = f"INSERT OR {otherwise} INTO staged VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
    return max(0, db.executemany(query, rows).rowcount)


def take_from_live(db: sqlite3.Connection, counts: dict[int, int]) -> None:
    """So many fewer blocks of each pack are live."""
    db.executemany(
        "UPDATE packs SET live = live - ? WHERE pack = ?",
        [(count, pack) for pack, count in counts.items()],
    )


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


def marks(keys: Sequence[object]) -> str:
    return ",".join("?" * len(keys))
