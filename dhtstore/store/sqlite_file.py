"""Opening SQLite files, also on a disk that takes no more bytes.

In WAL mode even a reader makes files: the index of the log in shared memory, and the log.  So
where the ordinary way fails, what needs the fewest of them is tried.  Whoever opens a file here
has made sure (``Home.lock``) to be the only process that does, but for ``open_beside``.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dhtstore.errors import HomeUnusable
from dhtstore.params import MIB
from dhtstore.store.ours import check_if_there

_LOG_MAX_BYTES: Final = 16 * MIB  # what stays of the log after a transaction that needed more


def open_to_write(path: Path, *, shrinks: bool = False) -> sqlite3.Connection:
    """A connection in WAL mode, synced with each commit; to a new file that ``shrinks``, pages that
    are free in it can be cut off.  Raises sqlite3.Error, and HomeUnusable for files that others may
    have made or changed."""
    _check_files(path)
    _make(path)
    db = _connection(str(path))
    try:
        if shrinks:  # before anything is written
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA journal_size_limit={_LOG_MAX_BYTES}")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not os.access(path, os.W_OK):  # SQLite opens it all the same
            raise sqlite3.OperationalError("the file or its file system is read-only")
    except sqlite3.Error:
        db.close()
        raise
    return db


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that reads what was committed and makes no file grow, the only one there may
    be.  Raises sqlite3.Error, HomeUnusable as above."""
    _check_files(path)
    log = Path(f"{path}-wal")
    if not log.exists() or not log.stat().st_size:
        return _reading(f"file:{quote(str(path))}?immutable=1")  # the file holds all there is
    try:
        return _reading(f"file:{quote(str(path))}?mode=rw", "PRAGMA locking_mode=EXCLUSIVE")
    except sqlite3.Error:
        return _reading(f"file:{quote(str(path))}?mode=ro")


def open_beside(path: Path) -> sqlite3.Connection:
    """A connection that reads what is committed while other processes may write.  Raises
    sqlite3.Error, HomeUnusable as above."""
    _check_files(path)
    try:
        return _reading(f"file:{quote(str(path))}?mode=ro")
    except sqlite3.Error:  # a disk that takes no writes: then nobody writes
        return open_to_read(path)


def _make(path: Path) -> None:
    """SQLite would let others read it, and gives its log the mode that the file has."""
    with suppress(OSError):  # then SQLite says what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _check_files(path: Path) -> None:
    """What SQLite would open as it is, through links too."""
    try:
        for suffix in ("", "-wal", "-shm"):
            check_if_there(Path(f"{path}{suffix}"))
    except OSError as error:
        raise HomeUnusable(f"cannot use {path}: {error.strerror}") from error


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction that failed, if one is open.  What cannot be rolled back on the disk is
    rolled back in the log: nothing of it was committed, and the next one writes over it."""
    if db.in_transaction:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")


def _reading(uri: str, first: str = "PRAGMA query_only=1") -> sqlite3.Connection:
    db = _connection(uri, uri=True)
    try:
        db.execute(first)  # an exclusive lock keeps the index of the log in our own memory
        db.execute("PRAGMA query_only=1")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _connection(name: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False, uri=uri)
