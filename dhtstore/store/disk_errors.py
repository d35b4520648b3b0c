"""What the operating system and SQLite say, in our words."""

from __future__ import annotations

import errno
import sqlite3

from dhtstore.errors import DhtstoreError, HomeUnusable, NoRoom

# EFBIG: the file would pass RLIMIT_FSIZE or the file system's largest file.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

# The last two are how SQLite passes EFBIG and EDQUOT on, and a full disk under its shared memory.
_SQLITE_FULL = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
)


def write_error(
    error: OSError, what: str, otherwise: type[DhtstoreError] = HomeUnusable
) -> DhtstoreError:
    """NoRoom for a full disk, ``otherwise`` for one that fails or refuses."""
    if error.errno in _FULL:
        return NoRoom(f"no room on the disk for {what}: {error.strerror}")
    return otherwise(f"cannot write {what}: {error.strerror or error}")


def sqlite_error(error: sqlite3.Error, what: str) -> DhtstoreError:
    """The same for SQLite."""
    if getattr(error, "sqlite_errorcode", 0) in _SQLITE_FULL:
        return NoRoom(f"no room on the disk for {what}: {error}")
    return HomeUnusable(f"cannot write {what}: {error}")
