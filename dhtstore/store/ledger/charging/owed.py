"""A ledger that remembers what could not be written: it goes with the next write that works."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, KeyValue

Pair = tuple[bytes, bytes]


class Owed:
    """A KeyValue over ``table``, from which all reads see what is owed as if it were written.
    Nothing is owed across a crash.  Writes are the caller's to guard, one at a time."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table
        self._owed: dict[bytes, bytes | None] = {}  # None to delete; never changed, but replaced

    def get(self, key: bytes) -> bytes | None:
        owed = self._owed
        return owed[key] if key in owed else self._table.get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[Pair]:
        """Fewer than ``limit`` where some are to be deleted; none only where there are none."""
        while rows := self._table.scan(prefix, after=after, limit=limit):
            if left := self._as_owed(rows):
                return left
            after = rows[-1][0]
        return []

    def count(self, prefix: bytes) -> int:
        gone = (key for key, value in self._owed.items() if value is None)
        lost = sum(key.startswith(prefix) and self._table.get(key) is not None for key in gone)
        return self._table.count(prefix) - lost

    def write(self, puts: Iterable[Pair], deletes: Iterable[bytes] = ()) -> None:
        """With what is owed.  Raises NoRoom or HomeUnusable, and then it is owed on."""
        new, gone, owed = list(puts), list(deletes), self._owed
        written = {key for key, _ in new}
        late = [key for key, value in owed.items() if value is None and key not in written]
        early = [(key, value) for key, value in owed.items() if value is not None]
        self._table.write([*early, *new], [*late, *gone])
        self._owed = {}

    def write_or_owe(self, changed: Iterable[Pair], deletes: Iterable[bytes]) -> None:
        """``changed`` are new values of keys that are there."""
        puts, gone = list(changed), list(deletes)
        try:
            self.write(puts, gone)
        except (NoRoom, HomeUnusable):
            self._owed = {**self._owed, **dict(puts), **dict.fromkeys(gone)}

    def pay(self) -> None:
        """Write what is owed, if that is possible by now."""
        if self._owed:
            with suppress(NoRoom, HomeUnusable):
                self.write(())

    def close(self) -> None:
        self._table.close()

    def _as_owed(self, rows: list[Pair]) -> list[Pair]:
        owed = self._owed
        seen = [(key, owed.get(key, value)) for key, value in rows]
        return [(key, value) for key, value in seen if value is not None]
