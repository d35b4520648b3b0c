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

_SCHEMA = "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) \
WITHOUT ROWID"


class SqliteKeyValue:
    """Raises HomeUnusable when the file cannot be opened, NoRoom when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise HomeUnusable(f"cannot open {path}: {error}") from error

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            row = self._db.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

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
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", new)
                self._db.executemany("DELETE FROM entries WHERE key = ?", gone)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise sqlite_error(error, "the ledger") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _all(self, query: str, values: Sequence[object]) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _span(start: bytes, prefix: bytes) -> tuple[str, list[bytes]]:
    """The keys from ``start`` on with this prefix, as SQL."""
    above = above_all(prefix)
    if above is None:
        return "WHERE key >= ?", [start]
    return "WHERE key >= ? AND key < ?", [start, above]
