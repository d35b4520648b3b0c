"""How long the files of the index are, and may become in one transaction.

SQLite writes them by itself, so what it may need is set aside before a transaction begins, and
what it took is looked up afterwards.  Of the file, ``max_page_count`` is a bound that SQLite
keeps.  Of the log: one frame for each page that a transaction changes (since 3.11 a page that is
written twice takes the same frame again), so never more than there are pages.  Of the index of
the log: 32 KiB for 4,096 frames (https://sqlite.org/walformat.html).
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from dhtstore.params import KIB
from dhtstore.store.blocks.quota import Quota

PAGE_BYTES: Final = 4 * KIB  # what SQLite takes for a new file
_FRAME_BYTES: Final = PAGE_BYTES + 24
_LOG_HEAD_BYTES: Final = 32
_SHARED_BYTES: Final = 32 * KIB
_SHARED_FRAMES: Final = 4096  # in each, but for a head that takes the place of 34 in the first
_SHARED_HEAD_FRAMES: Final = 34
_LAST_FRAME: Final = struct.Struct("=I")
_LAST_FRAME_AT: Final = 16
# A row that comes or goes changes, on each of at most four levels, a page, its two neighbours and
# at most two that are new.
_PAGES_A_ROW: Final = 20
_MORE_ROWS: Final = 256  # of the packs, of batches, and pages that are cut off at the end
_FRAMES_MORE: Final = 8  # the last page once more, the roots, the map of pages
_ASIDE_ROWS: Final = 4096 + _MORE_ROWS  # of one that never has to wait for room
_SPLIT_PAGES: Final = 4  # of the map of pages, and on the levels above
_FEW_ROWS: Final = 8  # may each come to a page that is full
_ASIDE_PAGES: Final = 16  # that the file may grow by while something is deleted


class Lengths(NamedTuple):
    """Of the database, its log, and the index of the log, in bytes."""

    file: int
    log: int
    shared: int

    @property
    def bytes(self) -> int:
        return sum(self)


class IndexFiles:
    """The files of one index, charged to a quota.  Called with the index's write lock held."""

    def __init__(self, path: Path, quota: Quota) -> None:
        self._paths = tuple(Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm"))
        self._quota = quota

    def lengths(self) -> Lengths:
        """Raises OSError."""
        return Lengths(*map(_length, self._paths))

    def prepare(self, db: sqlite3.Connection, rows: int, *, grows: bool, restarted: bool) -> None:
        """Set aside what a transaction that changes ``rows`` rows may take; ``restarted`` when all
        of the log is in the file and nobody reads it.  One that ``grows`` has to leave enough for
        one that does not.  Raises NoRoom; then nothing is set aside.  OSError, sqlite3.Error."""
        pages, now = _pages(db), self.lengths()
        most = pages + (_new_pages(rows) if grows else _ASIDE_PAGES)
        begins = 0 if restarted else self._frames(now)
        frames = begins + min(most, _PAGES_A_ROW * (rows + _MORE_ROWS)) + _FRAMES_MORE
        grown = Lengths(
            max(now.file, most * PAGE_BYTES),
            max(now.log, _log_bytes(frames)),
            max(now.shared, _shared_bytes(frames)),
        )
        then = most if grows else pages
        self._quota.set_index(grown.bytes, then * PAGE_BYTES, aside_bytes(then), asked=True)
        db.execute(f"PRAGMA max_page_count={most}").fetchall()

    def correct(self, db: sqlite3.Connection) -> None:
        """Charge what there is, whatever became of the transaction; what cannot be looked up stays
        charged as it was set aside."""
        with suppress(OSError, sqlite3.Error):
            pages, now = _pages(db), self.lengths()
            total_bytes = max(now.file, pages * PAGE_BYTES) + now.log + now.shared
            self._quota.set_index(total_bytes, pages * PAGE_BYTES, aside_bytes(pages))

    def _frames(self, now: Lengths) -> int:
        """How many the log has that count.  SQLite writes it for whoever opens the file."""
        try:
            fd = os.open(self._paths[2], os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                raw = os.pread(fd, _LAST_FRAME.size, _LAST_FRAME_AT)
            finally:
                os.close(fd)
            return min(int(_LAST_FRAME.unpack(raw)[0]), now.log // _FRAME_BYTES)
        except (OSError, struct.error):
            return now.log // _FRAME_BYTES


def aside_bytes(pages: int) -> int:
    """What is kept free beside a file of so many pages, for the log of the next transaction: else a
    full store could not even delete."""
    most = pages + _ASIDE_PAGES
    frames = min(most, _PAGES_A_ROW * _ASIDE_ROWS) + _FRAMES_MORE
    return _ASIDE_PAGES * PAGE_BYTES + _log_bytes(frames) + _shared_bytes(frames)


def _new_pages(rows: int) -> int:
    """A bound that is set, and more than is needed: a row takes 60 bytes of a page, and a page that
    splits makes room for a quarter of one; of few rows each may split a page on each level."""
    return _SPLIT_PAGES + min(rows, _FEW_ROWS) + rows // 4


def _log_bytes(frames: int) -> int:
    return _LOG_HEAD_BYTES + frames * _FRAME_BYTES


def _shared_bytes(frames: int) -> int:
    return _SHARED_BYTES * (1 + (frames + _SHARED_HEAD_FRAMES) // _SHARED_FRAMES)


def _pages(db: sqlite3.Connection) -> int:
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    return pages


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
