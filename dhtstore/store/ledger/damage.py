"""Blocks that were found damaged: the index has them, and its word is not enough for these."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from dhtstore.store.ledger.contract import KeyValue, scan_all

_PREFIX: Final = b"damaged/"
_REMEMBERED_MAX: Final = 100_000  # with so many, verifying again is the least of the troubles


class Damage:
    """Multihashes, as the last look at all blocks found them.  A hint where to look: a block may
    have been written anew since."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def found(self) -> set[bytes]:
        return {key[len(_PREFIX) :] for key, _ in scan_all(self._table, _PREFIX)}

    def count(self) -> int:
        return self._table.count(_PREFIX)

    def record(self, multihash: bytes) -> None:
        """Remember one more.  Raises NoRoom, HomeUnusable."""
        if self.count() < _REMEMBERED_MAX:
            self._table.write([(_PREFIX + multihash, b"")])

    def replace(self, multihashes: Iterable[bytes]) -> None:
        """Remember these in place of those before.  Raises NoRoom, HomeUnusable."""
        new = set(islice(multihashes, _REMEMBERED_MAX))
        before = self.found()
        if new != before:
            added = [(_PREFIX + each, b"") for each in sorted(new - before)]
            self._table.write(added, [_PREFIX + each for each in sorted(before - new)])
