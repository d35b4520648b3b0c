"""The SQLite file under the index: one connection that reads, one that writes, and what to do
about damage.

``synchronous=FULL``: a transaction that was acknowledged survives a power cut, so what the index
does not know was never acknowledged.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from dhtstore.errors import DhtstoreError, HomeUnusable, NoRoom
from dhtstore.store.blocks.accounts.index_files import IndexFiles
from dhtstore.store.disk import sqlite_error, write_error
from dhtstore.store.sqlite_file import open_to_read, open_to_write, roll_back

DAMAGED: Final = "-damaged"  # a file beside the index with this suffix: rebuild at the next open
_FREE_PAGES_MAX: Final = 64  # stay in the file for what comes next: 256 KiB
_AT_ONCE_PAGES: Final = 256  # others wait while so many are cut off: some 10 ms
_INCREMENTAL: Final = 2  # what PRAGMA auto_vacuum says of a file that shrinks
ANY_ROWS: Final = 1 << 40  # a transaction may change all there are
_VERSION: Final = 2
# Version 0 is an index that is being built.  Version 1 was not synced with each transaction: its
# last ones may be lost, and their blocks are found in the packs.
_INCOMPLETE_VERSIONS: Final = (0, 1)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks (multihash BLOB PRIMARY KEY, pack INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, codec INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packs (pack INTEGER PRIMARY KEY, known INTEGER NOT NULL,
    live INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS committed (batch INTEGER PRIMARY KEY, merged BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS staged (batch INTEGER, multihash BLOB, pack INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, codec INTEGER NOT NULL,
    PRIMARY KEY (batch, multihash)) WITHOUT ROWID;
"""


class IndexUnusable(Exception):
    """The index is damaged or of another version, and is to be rebuilt."""


class IndexDatabase:
    """Each connection is under its own lock.  Who holds ``read_lock`` keeps readers out."""

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        """``to_read`` on a disk that takes no writes: ``open_to_write`` tries anew.  Raises
        IndexUnusable; NoRoom or HomeUnusable when a rebuild would not help."""
        self.read_lock = threading.Lock()
        self._next, self._write_lock = threading.Lock(), threading.Lock()
        self._path, self._damaged = path, Path(f"{path}{DAMAGED}")
        self._writer: sqlite3.Connection | None = None
        self._files: IndexFiles | None = None  # while it is opened nobody else writes
        self._shrunk = True  # in the log, and perhaps not in the file yet
        self.complete, self.rebuilt = True, False
        self.committed: list[int] = []  # batches whose staged rows are not all in the index, yet
        if self._damaged.exists():
            raise IndexUnusable("found damaged while it was in use")
        with _named("the index"):
            if to_read:
                self._reader = open_to_read(path)
                _version(self._reader)
                self.committed = _committed(self._reader)
            else:
                self._open_to_write()

    def open_to_write(self) -> None:
        """Leave reading only; raises as the constructor while that is not possible."""
        with self._write_lock, self.read_lock, _named("the index"):
            self._reader.close()
            try:
                self._open_to_write()
            except BaseException:
                self._reader = open_to_read(self._path)
                raise

    def _open_to_write(self) -> None:
        with ExitStack() as opened:
            writer = opened.enter_context(closing(open_to_write(self._path, shrinks=True)))
            version = 0 if _is_new(writer) else _version(writer)
            writer.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            self.committed = _committed(writer)
            if not self.committed:
                writer.execute("DELETE FROM staged")
            _let_shrink(writer)
            self.complete = version not in _INCOMPLETE_VERSIONS
            self.rebuilt |= not self.complete
            self._reader = opened.enter_context(closing(open_to_write(self._path)))
            self._writer = writer
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

    def charge_to(self, files: IndexFiles) -> None:
        """From now on no transaction takes more than there is room for."""
        with self._write_lock, self.read_lock:
            self._files = files
            files.correct(self._writer or self._reader)

    @contextmanager
    def transaction(
        self, rows: int, *, grows: bool = False, unread: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """Commits at the end; changes ``rows`` rows at most, and only one that ``grows`` adds any.
        ``unread``: nobody reads until then.  Whoever makes one after another lets those who wait
        have theirs in between.  Raises NoRoom before anything is written where there is none."""
        with self._turn():
            writer = self._writing()
            self._prepare(writer, rows, grows=grows)
            try:
                with self.read_lock if unread else nullcontext():
                    writer.execute("BEGIN IMMEDIATE")
                    yield writer
                    writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._unusable(error) from error
            finally:
                roll_back(writer)
                self._correct()

    def _prepare(self, writer: sqlite3.Connection, rows: int, *, grows: bool) -> None:
        """Set room aside, with the log as it is, or else with one that begins anew."""
        if self._files is None:
            return
        try:
            try:
                self._files.prepare(writer, rows, grows=grows, restarted=False)
            except NoRoom:
                with self.read_lock:
                    done = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._files.correct(writer)
                self._files.prepare(writer, rows, grows=grows, restarted=not done[0][0])
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        except OSError as error:
            raise write_error(error, "the index") from error

    def cut_log(self) -> bool:
        """Bring the log into the file and give back what it takes; whether that was anything."""
        if self._files is None or self._writer is None:
            return False
        with self._turn(), suppress(sqlite3.Error, OSError):
            before = self._files.lengths().log
            with self.read_lock:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._correct()
            return self._files.lengths().log < before
        return False

    def _correct(self) -> None:
        if self._files is not None and self._writer is not None:
            self._files.correct(self._writer)

    def shrink(self) -> None:
        """Give the disk back what is free in the file, but for a little, in steps.  Raises NoRoom,
        HomeUnusable."""
        more = True
        while more:
            with self.transaction(_AT_ONCE_PAGES) as db:
                more = self.cut_some(db)
        with self._turn():
            if self._shrunk:
                self._checkpoint()

    def cut_some(self, db: sqlite3.Connection) -> bool:
        """Within a transaction: cut some free pages off the file.  Whether there may be more."""
        free = _free_pages(db)
        count = min(free - _FREE_PAGES_MAX, _AT_ONCE_PAGES)
        if count <= 0:
            return False
        for _ in range(count):  # of a larger number the interface would do only the first step
            db.execute("PRAGMA incremental_vacuum(1)").fetchall()
        shrunk = _free_pages(db) < free
        self._shrunk |= shrunk
        return shrunk

    def _checkpoint(self) -> None:
        """Bring the log into the file, which is cut then, unless somebody reads what was before:
        nobody waits."""
        try:
            self._writing().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        finally:
            self._correct()
        self._shrunk = False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The write lock; who waits for it is before those that come."""
        with self._next:
            self._write_lock.acquire()
        try:
            yield
        finally:
            self._write_lock.release()

    def set_complete(self) -> None:
        """From here on nothing is missing in it.  Raises NoRoom or HomeUnusable."""
        with self.transaction(1) as writer:
            writer.execute(f"PRAGMA user_version = {_VERSION}")
        self.complete = True

    def close(self) -> None:
        with self._write_lock, self.read_lock:
            self._reader.close()
            if self._writer is not None:
                self._writer.close()

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise NoRoom("the disk takes no writes: the index can only be read")
        return self._writer

    def _unusable(self, error: sqlite3.Error) -> DhtstoreError:
        """Whether a damaged index, to be rebuilt at the next open, or something else."""
        if not _damage(error):
            return sqlite_error(error, "the index")
        with suppress(OSError):  # then the next open finds the damage for itself
            self._damaged.touch()
        return HomeUnusable("the index of the block store is damaged; a restart rebuilds it")


def _damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not the disk, its permissions or another process.

    SQLITE_ERROR is a table that is not there.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """SQLite's errors while a file is opened, in our words."""
    try:
        yield
    except sqlite3.Error as error:
        if _damage(error):
            raise IndexUnusable(str(error)) from error
        raise sqlite_error(error, what) from error


def _let_shrink(db: sqlite3.Connection) -> None:
    """Once, for a file of an earlier version: it is written anew.  Where the disk has no room for
    that the file stays as it is, until the next open."""
    if db.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
        return
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the log has all of it, too
    except sqlite3.Error as error:
        if _damage(error):
            raise


def _free_pages(db: sqlite3.Connection) -> int:
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    return free


def _is_new(db: sqlite3.Connection) -> bool:
    """Whether nothing is in it yet."""
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _committed(db: sqlite3.Connection) -> list[int]:
    """Empty where an earlier version wrote the index."""
    known = "SELECT count(*) FROM sqlite_master WHERE name = 'committed'"
    if not db.execute(known).fetchone()[0]:
        return []
    return [batch for (batch,) in db.execute("SELECT batch FROM committed ORDER BY batch")]


def _version(db: sqlite3.Connection) -> int:
    """Raises IndexUnusable for one that this program does not know."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version != _VERSION and version not in _INCOMPLETE_VERSIONS:
        raise IndexUnusable(f"index of version {version}")
    db.execute("SELECT count(*) FROM packs").fetchone()
    db.execute("SELECT * FROM blocks LIMIT 1").fetchone()
    return version
