"""The SQLite file under the index: one connection that reads, one that writes, and what to do
about damage.

``synchronous=NORMAL``: a power cut may lose the last transactions but never the order of them;
the scan of each pack's tail at open finds their blocks again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from dhtstore.errors import DhtstoreError, HomeUnusable
from dhtstore.store.disk import sqlite_error

DAMAGED: Final = "-damaged"  # a file beside the index with this suffix: rebuild at the next open
_VERSION: Final = 1
_SCHEMA: Final = f"""
CREATE TABLE blocks (multihash BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, codec INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE packs (pack INTEGER PRIMARY KEY, known INTEGER NOT NULL, live INTEGER NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class IndexUnusable(Exception):
    """The index is damaged or of another version, and is to be rebuilt."""


class IndexDatabase:
    """Each connection is under its own lock.  Who holds ``read_lock`` keeps readers out."""

    def __init__(self, path: Path) -> None:
        """Raises IndexUnusable; NoRoom or HomeUnusable when a rebuild would not help."""
        self.read_lock = threading.Lock()
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

    def rows(self, query: str, values: Sequence[object]) -> list[Any]:
        with self.read_lock:
            return self.rows_locked(query, values)

    def rows_locked(self, query: str, values: Sequence[object]) -> list[Any]:
        """The same, called with the read lock held."""
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    @contextmanager
    def transaction(self, *, unread: bool = False) -> Iterator[sqlite3.Connection]:
        """Commits at the end; ``unread``: nobody reads until then."""
        with self._write_lock, self.read_lock if unread else nullcontext():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._unusable(error) from error
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Make every transaction so far survive a power cut."""
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._write_lock, self.read_lock:
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

    def _unusable(self, error: sqlite3.Error) -> DhtstoreError:
        """Whether a damaged index, to be rebuilt at the next open, or something else."""
        if not _damage(error):
            return sqlite_error(error, "the index")
        self._damaged.touch()
        return HomeUnusable("the index of the block store is damaged; a restart rebuilds it")


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
