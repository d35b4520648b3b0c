"""The ledger of a data directory beside its node: brought up to date, read, and added to."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from dhtstore.errors import HomeInUse
from dhtstore.store.home.block_directory import check_ledger, mark_blocks
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, KeyValue
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.store.ledger.upgrade import is_current, upgrade
from dhtstore.trace import no_trace


def bring_up_to_date(home: Home) -> None:
    """Make the ledger where there is none; rewrite one of an earlier layout, which nobody may read
    meanwhile.  Raises HomeInUse, HomeUnusable, NoRoom."""
    if _is_current(home):
        return
    with closing(home.lock()):
        mark_blocks(home)
        with closing(SqliteKeyValue(home.ledger)) as ledger:
            home.upgraded()
            upgrade(ledger, no_trace)


def _is_current(home: Home) -> bool:
    check_ledger(home)
    if not home.ledger.exists():
        return False
    with closing(SqliteKeyValue(home.ledger, to_read=True)) as ledger:
        return is_current(ledger)


class HomeLedger:
    """A KeyValue: the ledger of the data directory ``path`` as a visitor uses it.

    It is read beside whoever runs there, and empty where there is none.  From ``begin`` on it is
    written to, and no node can start there until it is closed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._opened = ExitStack()
        self._table: KeyValue | None = None
        self._writes = False

    def begin(self) -> None:
        """Raises HomeInUse where a node runs, HomeUnusable, NoRoom; may be called again."""
        with self._lock:
            if self._writes:
                return
            self._close()
            home = Home(self._path)
            try:
                bring_up_to_date(home)
                self._opened.callback(home.lock_to_read().close)
            except HomeInUse as error:
                raise HomeInUse(f"{error}, where a put is remembered").hinted(
                    "leave --seed away: the node that runs there puts it; or give another --home"
                ) from error
            self._open(SqliteKeyValue(home.ledger))
            self._writes = True

    def get(self, key: bytes) -> bytes | None:
        return self._read().get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        return self._read().scan(prefix, after=after, limit=limit)

    def count(self, prefix: bytes) -> int:
        return self._read().count(prefix)

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        """Raises as ``begin`` too."""
        self.begin()
        self._read().write(puts, deletes)

    def close(self) -> None:
        """It may be used again."""
        with self._lock:
            self._close()

    def _read(self) -> KeyValue:
        with self._lock:
            if self._table is None:
                there = (self._path / "ledger.sqlite").exists()
                self._open(_to_read(Home(self._path)) if there else MemoryKeyValue())
            assert self._table is not None
            return self._table

    def _open(self, table: KeyValue) -> None:
        self._table = table
        self._opened.callback(table.close)

    def _close(self) -> None:
        self._table, self._writes = None, False
        self._opened.close()


def _to_read(home: Home) -> KeyValue:
    with suppress(HomeInUse):  # then whoever runs there has brought it up to date
        bring_up_to_date(home)
    return SqliteKeyValue(home.ledger, to_read=True)


class DividedKeyValue:
    """A KeyValue whose rows under the ``prefixes`` are in ``lasting``, the others in ``passing``.

    A write is all or nothing within each of them; the lasting one comes first."""

    def __init__(self, prefixes: Sequence[bytes], lasting: KeyValue, passing: KeyValue) -> None:
        self._prefixes, self._lasting, self._passing = tuple(prefixes), lasting, passing

    def get(self, key: bytes) -> bytes | None:
        return (self._lasting if self._lasts(key) else self._passing).get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        pages = [table.scan(prefix, after=after, limit=limit) for table in self._of(prefix)]
        return sorted(row for page in pages for row in page)[:limit]

    def count(self, prefix: bytes) -> int:
        return sum(table.count(prefix) for table in self._of(prefix))

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        new, gone = list(puts), list(deletes)
        for table, lasts in ((self._lasting, True), (self._passing, False)):
            rows = [row for row in new if self._lasts(row[0]) == lasts]
            keys = [key for key in gone if self._lasts(key) == lasts]
            if rows or keys:
                table.write(rows, keys)

    def close(self) -> None:
        try:
            self._lasting.close()
        finally:
            self._passing.close()

    def _lasts(self, key: bytes) -> bool:
        return key.startswith(self._prefixes)

    def _of(self, prefix: bytes) -> list[KeyValue]:
        """Where rows with this prefix may be."""
        if self._lasts(prefix):
            return [self._lasting]
        mixed = any(each.startswith(prefix) for each in self._prefixes)
        return [self._lasting, self._passing] if mixed else [self._passing]
