"""The ledger: a KeyValue in one SQLite file, fsynced at every write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import sqlite_error

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

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        after = _after(prefix)
        query = "SELECT key, value FROM entries WHERE key >= ?"
        bounds: tuple[bytes, ...] = (prefix,)
        if after is not None:
            query, bounds = query + " AND key < ?", (prefix, after)
        with self._lock:
            return self._db.execute(query + " ORDER BY key", bounds).fetchall()

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


def _after(prefix: bytes) -> bytes | None:
    """The smallest key above every key with this prefix; None if there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None
