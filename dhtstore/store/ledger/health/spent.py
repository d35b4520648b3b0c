"""How much repairs have sent today, so that a restart spends nothing twice."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import Date, decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"repair/spent"


class SpentRow(NamedTuple):
    """Since ``day_unix_s``."""

    day_unix_s: Date = 0.0
    sent_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class Spent:
    """One row; where it is missing or damaged, nothing was sent yet."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: SpentRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def load(self) -> SpentRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return SpentRow() if raw is None else decode(SpentRow, raw)
        except IntegrityFailure as error:
            self._tracer("repair.spent-damaged", reason=str(error))
            return SpentRow()
