"""Since when this node counts how much of the time it is there."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"counted-since"


class CountedRow(NamedTuple):
    """At ``since_unix_s`` it had been running for ``running_s`` in all its lives."""

    since_unix_s: float
    running_s: float


class CountedSince:
    """One row; where it is missing or damaged, counting begins anew."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: CountedRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def load(self) -> CountedRow | None:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return None if raw is None else decode(CountedRow, raw)
        except IntegrityFailure as error:
            self._tracer("counted-since.damaged", reason=str(error))
            return None
