"""What the rooms beside this file need of the disk: whole writes, durable names, its errors in our
words."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from dhtstore.errors import DhtstoreError, HomeUnusable, NoRoom

_DROP_BEHIND_MIN_BYTES: Final = 64 * 1024
_RWF_DONTCACHE: Final = 0x80  # Linux 6.14: pages dropped once written; bulk goes 2-3 x faster

# EFBIG: the file would pass RLIMIT_FSIZE or the file system's largest file.
FULL_HINT: Final = "free space on that disk"
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

# The last two are how SQLite passes EFBIG and EDQUOT on, and a full disk under its shared memory.
_SQLITE_FULL = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
)


def write_fully(fd: int, offset: int, *parts: bytes | bytearray | memoryview) -> None:
    """Write the parts at ``offset``, past the page cache where bulk and where the system can."""
    views = [memoryview(part) for part in parts]
    size = sum(len(view) for view in views)
    write = _write_bulk if size >= _DROP_BEHIND_MIN_BYTES else os.pwritev
    while size:
        written = write(fd, views, offset)
        size -= written
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


_plain_devices: set[int] = set()  # whose file systems were seen to refuse RWF_DONTCACHE


def _write_bulk(fd: int, views: list[memoryview], offset: int) -> int:
    device = os.fstat(fd).st_dev
    if device in _plain_devices:
        return os.pwritev(fd, views, offset)
    try:
        return os.pwritev(fd, views, offset, _RWF_DONTCACHE)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        _plain_devices.add(device)
        return os.pwritev(fd, views, offset)


def sync_directory(directory: Path) -> None:
    """Make new and removed names in ``directory`` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        close_quietly(fd)


def close_quietly(fd: int) -> None:
    """For what was synced, or needs not be: whatever close(2) says, the descriptor is gone."""
    with suppress(OSError):
        os.close(fd)


def write_error(
    error: OSError, what: str, otherwise: type[DhtstoreError] = HomeUnusable
) -> DhtstoreError:
    """NoRoom for a full disk, ``otherwise`` for one that fails or refuses."""
    if error.errno in _FULL:
        return NoRoom(f"no room on the disk for {what}: {error.strerror}").hinted(FULL_HINT)
    return otherwise(f"cannot write {what}: {error.strerror or error}")


def sqlite_error(error: sqlite3.Error, what: str) -> DhtstoreError:
    """The same for SQLite."""
    if getattr(error, "sqlite_errorcode", 0) in _SQLITE_FULL:
        return NoRoom(f"no room on the disk for {what}: {error}").hinted(FULL_HINT)
    return HomeUnusable(f"cannot write {what}: {error}")
