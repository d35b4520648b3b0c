"""Blocks that were found damaged: the index has them, and its word is not enough for these."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from dhtstore.store.ledger.contract import KeyValue, scan_all

_PREFIX: Final = b"damaged/"
_REMEMBERED_MAX: Final = 100_000  # with so many, verifying again is the least of the troubles


class Damage:
    """Multihashes, as the last look at all blocks found them.  A hint where to look: a block may
    have been written anew since.  Thread-safe."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table
        self._lock = threading.RLock()
        self._count: int | None = None  # once somebody asked

    def found(self) -> set[bytes]:
        return {key[len(_PREFIX) :] for key, _ in scan_all(self._table, _PREFIX)}

    def __contains__(self, multihash: bytes) -> bool:
        """Asks the ledger only while something is damaged.  Raises HomeUnusable."""
        return bool(self.count()) and self._table.get(_PREFIX + multihash) is not None

    def count(self) -> int:
        """Counted once, then kept up."""
        with self._lock:
            if self._count is None:
                self._count = self._table.count(_PREFIX)
            return self._count

    def record(self, multihash: bytes) -> None:
        """Remember one more.  Raises NoRoom, HomeUnusable."""
        with self._lock:
            if self.count() < _REMEMBERED_MAX:
                self._write([_PREFIX + multihash], [])

    def forget(self, multihashes: Iterable[bytes]) -> None:
        """They are whole now.  Raises NoRoom, HomeUnusable."""
        with self._lock:
            if self.count():
                self._write([], [_PREFIX + each for each in sorted(multihashes)])

    def replace(self, multihashes: Iterable[bytes]) -> None:
        """Remember these in place of those before.  Raises NoRoom, HomeUnusable."""
        new = set(islice(multihashes, _REMEMBERED_MAX))
        with self._lock:
            before = self.found()
            added = [_PREFIX + each for each in sorted(new - before)]
            self._write(added, [_PREFIX + each for each in sorted(before - new)])

    def _write(self, added: Sequence[bytes], gone: Iterable[bytes]) -> None:
        """Called with the lock held; those there already, and those that are not, may be named."""
        puts = [(key, b"") for key in added if self._table.get(key) is None]
        deletes = [key for key in gone if self._table.get(key) is not None]
        if puts or deletes:
            before = self.count()
            self._table.write(puts, deletes)
            self._count = before + len(puts) - len(deletes)
