"""Blocks that are not stored: leaves whose bytes stay in the user's file, read again from there
when somebody asks, and what lies above them, which is kept here for as long.

A table of SQLite in a file without a name: it takes little memory however many leaves there are,
and nothing of it survives, whatever ends the process.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from dhtstore.errors import BlockMissing, DhtstoreError, SourceChanged
from dhtstore.model.cid import Cid
from dhtstore.store.disk import close_quietly, sqlite_error, write_error

Bytes = bytes | bytearray | memoryview
ReadAt = Callable[[tuple[str, ...], int, int], bytes]  # path within the source, offset, length

_SETTINGS: Final = ("journal_mode=OFF", "synchronous=OFF", "cache_size=-4096")  # 4 MiB
_TABLE: Final = (
    "CREATE TABLE lent (digest BLOB PRIMARY KEY, path TEXT, start INTEGER, size INTEGER, body BLOB)"
    " WITHOUT ROWID"
)


class LentBlocks:
    """Filled by one import and then read, for as long as its put lasts.  Thread-safe; all of it
    works on the disk.  ``changed`` is why the source is not what was imported, once it shows."""

    def __init__(self, directory: Path | None) -> None:
        """The table lies in ``directory``, None for memory.  Raises NoRoom, HomeUnusable."""
        self._lock = threading.Lock()
        self._read_at: ReadAt | None = None
        self.changed: DhtstoreError | None = None
        try:
            self._db = _unnamed(directory)
        except OSError as error:
            raise write_error(error, f"a table in {directory}") from error
        except sqlite3.Error as error:
            raise sqlite_error(error, f"a table in {directory}") from error

    def reads_from(self, read_at: ReadAt) -> None:
        """Where the bytes of leaves are."""
        self._read_at = read_at

    def lend(self, cid: Cid, path: tuple[str, ...], start: int, size_bytes: int) -> None:
        """A leaf that is so much of the file ``path`` from ``start`` on.  Raises NoRoom."""
        self._insert(cid.multihash, "/".join(path), start, size_bytes, None)

    def keep(self, cid: Cid, data: bytes | bytearray | memoryview) -> None:
        """A block that stands in no file.  Raises NoRoom."""
        self._insert(cid.multihash, "", 0, len(data), bytes(data))

    def batch(self) -> LentBatch:
        """What keeps all that is put into it."""
        return LentBatch(self)

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        rows = [self._row(cid) for cid in cids]
        return [None if row is None else row[2] for row in rows]

    def get(self, cid: Cid) -> bytes:
        """The block, verified against its CID.  Raises BlockMissing, and SourceChanged or
        UnreadableSource where its bytes are not there any more."""
        row, read_at = self._row(cid), self._read_at
        if row is None or read_at is None:
            raise BlockMissing(f"block {cid} is not lent here")
        path, start, size_bytes, body = row
        if body is not None:
            return body
        names = tuple(path.split("/")) if path else ()
        try:
            data = read_at(names, start, size_bytes)
            if not cid.matches(data):
                raise SourceChanged(f"{path or 'the file'} changed while it was put")
        except DhtstoreError as error:
            self.changed = self.changed or error
            raise
        return data

    def close(self) -> None:
        """May be called twice; whoever asks later is told that nothing is here."""
        with self._lock:
            self._read_at = None
            self._db.close()

    def _insert(self, *row: bytes | str | int | None) -> None:
        with self._lock:
            try:
                self._db.execute("INSERT OR REPLACE INTO lent VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.Error as error:
                raise sqlite_error(error, "the table of what is put") from error

    def _row(self, cid: Cid) -> tuple[str, int, int, bytes | None] | None:
        asked = "SELECT path, start, size, body FROM lent WHERE digest = ?"
        with self._lock:
            if self._read_at is None:
                return None
            try:
                found = self._db.execute(asked, (cid.multihash,)).fetchone()
            except sqlite3.Error as error:
                raise sqlite_error(error, "the table of what is put") from error
        return None if found is None else (found[0], found[1], found[2], found[3])


class LentBatch:
    """A Batch of a BlockStore, as far as an import needs one."""

    def __init__(self, lent: LentBlocks) -> None:
        self._lent = lent
        self.renewed: set[bytes] = set()

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        self._lent.keep(cid, data)
        return True

    def put_all(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool = False) -> list[bool]:
        return [self.put(cid, data, anew=anew) for cid, data in blocks]

    def read(self, cid: Cid) -> bytes:
        """Raises as ``LentBlocks.get``."""
        return self._lent.get(cid)

    def commit(self) -> None:
        """Nothing of it is to last."""

    def close(self) -> None:
        """The table is closed by whoever made it."""

    def __enter__(self) -> LentBatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _unnamed(directory: Path | None) -> sqlite3.Connection:
    """Raises OSError, sqlite3.Error."""
    name = ":memory:"
    if directory is not None:
        fd, name = tempfile.mkstemp(prefix=".lent-", dir=directory)  # mode 0600, new
        close_quietly(fd)
    try:
        db = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    finally:
        if directory is not None:
            os.unlink(name)  # before a byte is in it
    try:
        for setting in _SETTINGS:
            db.execute(f"PRAGMA {setting}")
        db.execute(_TABLE)
        db.execute("BEGIN")  # never committed: pages are written when memory does not hold them
    except sqlite3.Error:
        db.close()
        raise
    return db
