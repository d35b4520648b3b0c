"""Whether this ledger has been beside the blocks since they came."""

from __future__ import annotations

from typing import Final

from dhtstore.store.ledger.contract import LAYOUT_KEY, KeyValue

_KEY: Final = b"standing"
_KNOWN: Final = b"known"
_NEW: Final = b"new"


class LedgerStanding:
    """One row, written at the first start.  A ledger without it and without anything else that
    stands beside blocks is a new one in the place of one that is lost, and says nothing of what
    is kept; it stays so until its user says that what it does not know may go."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def is_known(self, *, blocks: bool) -> bool:
        """Whether it is known what is kept; ``blocks`` is whether there are some."""
        row = self._table.get(_KEY)
        return not (blocks and self._is_empty()) if row is None else row != _NEW

    def begin(self, *, known: bool) -> None:
        """Write down what was found, unless it is.  Raises NoRoom, HomeUnusable."""
        if self._table.get(_KEY) is None:
            self._table.write([(_KEY, _KNOWN if known else _NEW)])

    def settle(self) -> None:
        """What is not known may go.  Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, _KNOWN)])

    def _is_empty(self) -> bool:
        return all(key == LAYOUT_KEY for key, _ in self._table.scan(b"", limit=2))
