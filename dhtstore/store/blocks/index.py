"""The index of the packs: multihash -> where the block is.  SQLite, rebuildable from the packs.

``synchronous=NORMAL``: a power cut may lose the last transactions but never the order of them;
the scan of each pack's tail at open finds their blocks again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

from dhtstore.errors import DhtstoreError, HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import sqlite_error

ROW_BYTES: Final = 64  # what a row costs on disk, measured 52 at 1,000,000 rows, rounded up
DAMAGED: Final = "-damaged"  # a file beside the index with this suffix: rebuild at the next open
_VERSION: Final = 1
_PAGE_ROWS: Final = 1000
_LOOKED_AT_ROWS: Final = 10_000  # at once, for those of one pack: 2 ms
_PAGE_END: Final = """SELECT max(multihash) FROM
    (SELECT multihash FROM blocks WHERE multihash > ? ORDER BY multihash LIMIT ?)"""
_OF_A_PACK: Final = """SELECT multihash, pack, offset, length, codec FROM blocks
    WHERE multihash > ? AND multihash <= ? AND pack = ? ORDER BY multihash"""
_VARIABLES_MAX: Final = 500  # bound parameters of one query; SQLite allows 999 since 3.0
_READ_MEANWHILE: Final = nullcontext()
_SCHEMA: Final = f"""
CREATE TABLE blocks (multihash BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, codec INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE packs (pack INTEGER PRIMARY KEY, known INTEGER NOT NULL, live INTEGER NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class Location(NamedTuple):
    """Where a block's data is."""

    pack: int
    offset: int
    length: int


class Row(NamedTuple):
    multihash: bytes
    pack: int
    offset: int
    length: int
    codec: int


class PackState(NamedTuple):
    """``known``: up to where the index says all there is to say; ``live``: blocks in the pack."""

    known: int
    live: int


class IndexUnusable(Exception):
    """The index is damaged or of another version, and is to be rebuilt."""


class Index:
    """One connection reads committed rows, one writes; each under its own lock."""

    def __init__(self, path: Path) -> None:
        """Raises IndexUnusable; NoRoom or HomeUnusable when a rebuild would not help."""
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._damaged = Path(f"{path}{DAMAGED}")
        if self._damaged.exists():
            raise IndexUnusable("found damaged while it was in use")
        with ExitStack() as opened:
            try:
                self._writer = opened.enter_context(closing(_connect(path)))
                self._create_or_check()
                self._reader = opened.enter_context(closing(_connect(path)))
            except sqlite3.DatabaseError as error:
                if _damage(error):
                    raise IndexUnusable(str(error)) from error
                raise sqlite_error(error, "the index") from error
            opened.pop_all()

    def find(self, multihash: bytes) -> Location | None:
        query = "SELECT pack, offset, length FROM blocks WHERE multihash = ?"
        rows = self._rows(query, (multihash,))
        return Location(*rows[0]) if rows else None

    def find_or_rely(self, multihash: bytes, relied: set[bytes]) -> bool:
        """Whether it is stored; if so it is added to ``relied`` before any delete can look."""
        query = "SELECT 1 FROM blocks WHERE multihash = ?"
        with self._read_lock:
            found = bool(self._read(query, (multihash,)))
            if found:
                relied.add(multihash)
            return found

    def held(self, multihashes: Sequence[bytes]) -> set[bytes]:
        """Those of them that are stored."""
        held: set[bytes] = set()
        for keys in _groups(multihashes):
            query = f"SELECT multihash FROM blocks WHERE multihash IN ({_marks(keys)})"  # noqa: S608
            held.update(key for (key,) in self._rows(query, keys))
        return held

    def cids(self) -> Iterator[Cid]:
        """All, a page at a time, so that writers are never held up."""
        query = "SELECT multihash, codec FROM blocks WHERE multihash > ? ORDER BY 1 LIMIT ?"
        after = b""
        while True:
            rows = self._rows(query, (after, _PAGE_ROWS))
            if not rows:
                return
            yield from (Cid(bytes((1, codec)) + multihash) for multihash, codec in rows)
            after = rows[-1][0]

    def blocks(self, pack: int) -> Iterator[Row]:
        """Those of one pack, by multihash: for compaction, which copies them elsewhere.

        Rows are not ordered by pack, since an index of that would cost each block written more
        than a pack that is emptied now and then; so all rows are looked at, a page at a time.
        """
        after = b""
        while (last := self._page_end(after)) is not None:
            rows = self._rows(_OF_A_PACK, (after, last, pack))
            yield from (Row(*row) for row in rows)
            after = last

    def _page_end(self, after: bytes) -> bytes | None:
        """The last multihash of the page of rows that begins behind ``after``; None at the end."""
        last: bytes | None = self._rows(_PAGE_END, (after, _LOOKED_AT_ROWS))[0][0]
        return last

    def packs(self) -> dict[int, PackState]:
        rows = self._rows("SELECT pack, known, live FROM packs", ())
        return {pack: PackState(known, live) for pack, known, live in rows}

    def add(self, rows: Iterable[Row], known: dict[int, int]) -> dict[int, int]:
        """Insert the rows and set how far each pack is known, in one transaction.

        Returns how many rows of each pack were new; a block stored already keeps its place.
        """
        by_pack: dict[int, list[Row]] = {pack: [] for pack in known}
        for row in rows:
            by_pack[row.pack].append(row)
        with self._transaction() as db:
            return {pack: _add(db, pack, known[pack], by_pack[pack]) for pack in known}

    def remove(
        self, multihashes: Iterable[bytes], relied: Callable[[], Iterable[set[bytes]]]
    ) -> dict[int, int]:
        """Delete rows, except those that open batches rely on: ``relied`` is asked for them, and
        the rows are gone, while no batch can begin to rely.  Returns how many of each pack went.
        """
        gone: dict[int, int] = {}
        with self._transaction(self._read_lock) as db:
            keep = set().union(*relied())
            for keys in _groups([key for key in multihashes if key not in keep]):
                for (pack,) in db.execute(
                    f"SELECT pack FROM blocks WHERE multihash IN ({_marks(keys)})",  # noqa: S608
                    keys,
                ):
                    gone[pack] = gone.get(pack, 0) + 1
                db.execute(f"DELETE FROM blocks WHERE multihash IN ({_marks(keys)})", keys)  # noqa: S608
            _take_from_live(db, gone)
        return gone

    def move(self, copied: Iterable[tuple[Row, int]], pack: int, known: int) -> dict[int, int]:
        """Point blocks to their copies in ``pack``, which must be synced, and set how far that
        pack is known; in one transaction.

        Each row comes with the offset of its copy.  A block that no longer stands where its row
        says, since it was deleted or moved meanwhile, is passed over.  Returns how many left
        each pack.
        """
        left: dict[int, int] = {}
        with self._transaction() as db:
            for row, offset in copied:
                moved = db.execute(
                    "UPDATE blocks SET pack = ?, offset = ? "
                    "WHERE multihash = ? AND pack = ? AND offset = ?",
                    (pack, offset, row.multihash, row.pack, row.offset),
                ).rowcount
                left[row.pack] = left.get(row.pack, 0) + moved
            _take_from_live(db, left)
            _add_to_pack(db, pack, known, sum(left.values()))
        return left

    def cut(self, pack: int, size: int) -> None:
        """Forget what lies beyond ``size`` of a pack whose file lost its end."""
        with self._transaction() as db:
            db.execute("DELETE FROM blocks WHERE pack = ? AND offset + length > ?", (pack, size))
            live = db.execute("SELECT count(*) FROM blocks WHERE pack = ?", (pack,)).fetchone()[0]
            db.execute("INSERT OR REPLACE INTO packs VALUES (?, ?, ?)", (pack, size, live))

    def drop(self, pack: int) -> None:
        """Forget a pack and all its rows."""
        with self._transaction() as db:
            db.execute("DELETE FROM blocks WHERE pack = ?", (pack,))
            db.execute("DELETE FROM packs WHERE pack = ?", (pack,))

    def forget_pack(self, pack: int) -> None:
        """Forget a pack that holds no live block."""
        with self._transaction() as db:
            db.execute("DELETE FROM packs WHERE pack = ? AND live = 0", (pack,))

    def checkpoint(self) -> None:
        """Make every transaction so far survive a power cut."""
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _create_or_check(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._writer.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif version != _VERSION:
            raise IndexUnusable(f"index of version {version}")
        self._writer.execute("SELECT count(*) FROM packs").fetchone()
        self._writer.execute("SELECT * FROM blocks LIMIT 1").fetchone()

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        with self._read_lock:
            return self._read(query, values)

    def _read(self, query: str, values: Sequence[object]) -> list[Any]:
        """Called with the read lock held."""
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> DhtstoreError:
        """Whether a damaged index, to be rebuilt at the next open, or something else."""
        if not _damage(error):
            return sqlite_error(error, "the index")
        self._damaged.touch()
        return HomeUnusable("the index of the block store is damaged; a restart rebuilds it")

    @contextmanager
    def _transaction(
        self, unread: AbstractContextManager[object] = _READ_MEANWHILE
    ) -> Iterator[sqlite3.Connection]:
        """Commits at the end; with the read lock as ``unread`` nobody reads until then."""
        with self._write_lock, unread:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._unusable(error) from error
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")


def _damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not the disk, its permissions or another process.

    SQLITE_ERROR is a table that is not there.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _add(db: sqlite3.Connection, pack: int, known: int, rows: list[Row]) -> int:
    before = db.total_changes
    db.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    added = db.total_changes - before
    _add_to_pack(db, pack, known, added)
    return added


def _add_to_pack(db: sqlite3.Connection, pack: int, known: int, count: int) -> None:
    db.execute(
        "INSERT INTO packs VALUES (?, ?, ?) ON CONFLICT (pack) DO UPDATE "
        "SET known = excluded.known, live = live + excluded.live",
        (pack, known, count),
    )


def _take_from_live(db: sqlite3.Connection, counts: dict[int, int]) -> None:
    """So many fewer blocks of each pack are live."""
    db.executemany(
        "UPDATE packs SET live = live - ? WHERE pack = ?",
        [(count, pack) for pack, count in counts.items()],
    )


def _groups(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[at : at + _VARIABLES_MAX] for at in range(0, len(keys), _VARIABLES_MAX))


def _marks(keys: Sequence[bytes]) -> str:
    return ",".join("?" * len(keys))
