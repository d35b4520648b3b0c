"""Until when this node was there to be told of policies of what it holds: who was away for long
asks first."""

from __future__ import annotations

from typing import Final

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode

_KEY: Final = b"looked/policies"


class PoliciesLooked:
    """One row, of a wall clock."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def unix_s(self) -> float:
        """0 where it never did, or the row is damaged."""
        raw = self._table.get(_KEY)
        try:
            return 0.0 if raw is None else decode(float, raw)
        except IntegrityFailure:
            return 0.0

    def note(self, unix_s: float) -> None:
        """It did.  Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(unix_s))])
