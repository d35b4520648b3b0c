"""The ledger: a KeyValue in one SQLite file, fsynced at every write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import sqlite_error
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, above_all
from dhtstore.store.sqlite_file import open_beside, open_to_read, open_to_write, roll_back

_SCHEMA = "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) \
WITHOUT ROWID"


class SqliteKeyValue:
    """Raises HomeUnusable when the file cannot be opened or read, NoRoom when the disk is full.

    On a disk that takes no writes it opens to be read; each write tries anew.  ``to_read``: beside
    other processes, which may write.
    """

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reads_only = False
        try:
            self._db = open_beside(path) if to_read else _opened(path)
        except sqlite3.Error as error:
            try:
                self._db = open_to_read(path)
            except (sqlite3.Error, OSError):
                raise HomeUnusable(f"cannot open {path}: {error}") from error
            self._reads_only = True

    def get(self, key: bytes) -> bytes | None:
        rows = self._all("SELECT value FROM entries WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        start = prefix if after is None else max(prefix, after + b"\0")
        where, bounds = _span(start, prefix)
        query = f"SELECT key, value FROM entries {where} ORDER BY key LIMIT ?"  # noqa: S608
        return self._all(query, [*bounds, limit])

    def count(self, prefix: bytes) -> int:
        where, bounds = _span(prefix, prefix)
        found: int = self._all(f"SELECT count(*) FROM entries {where}", bounds)[0][0]  # noqa: S608
        return found

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        new, gone = list(puts), [(key,) for key in deletes]
        with self._lock:
            try:
                self._open_to_write()
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", new)
                self._db.executemany("DELETE FROM entries WHERE key = ?", gone)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                roll_back(self._db)
                raise sqlite_error(error, "the ledger") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _all(self, query: str, values: Sequence[object]) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise HomeUnusable(f"cannot read the ledger: {error}") from error

    def _open_to_write(self) -> None:
        """Called with the lock held; raises sqlite3.Error while the disk takes no writes."""
        if not self._reads_only:
            return
        self._db.close()
        try:
            self._db = _opened(self._path)
        except sqlite3.Error:
            self._db = open_to_read(self._path)
            raise
        self._reads_only = False


def _opened(path: Path) -> sqlite3.Connection:
    db = open_to_write(path)
    try:
        db.execute(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _span(start: bytes, prefix: bytes) -> tuple[str, list[bytes]]:
    """The keys from ``start`` on with this prefix, as SQL."""
    above = above_all(prefix)
    if above is None:
        return "WHERE key >= ?", [start]
    return "WHERE key >= ? AND key < ?", [start, above]
