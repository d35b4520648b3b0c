"""Whether this node is leaving, so that a restart does not make it stay."""

from __future__ import annotations

from typing import Final

from dhtstore.store.ledger.contract import KeyValue

_KEY: Final = b"leaving"


class LeavingMark:
    """One row that is there or not."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def get(self) -> bool:
        """Raises HomeUnusable."""
        return self._table.get(_KEY) is not None

    def set(self) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, b"1")])

    def clear(self) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([], [_KEY])
