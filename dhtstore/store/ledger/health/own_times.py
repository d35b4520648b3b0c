"""For how long this node was there and away, as far as it counted."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import Date, Seconds, decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"counted-since"  # as when there was no more than the first two of these


class OwnTimesRow(NamedTuple):
    """It counted last at ``at_unix_s``, when it had been running for ``running_s`` in all its
    lives."""

    at_unix_s: Date
    running_s: Seconds
    there_s: Seconds = 0.0
    away_s: Seconds = 0.0


class OwnTimes:
    """One row; where it is missing or damaged, counting begins anew."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: OwnTimesRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def load(self) -> OwnTimesRow | None:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return None if raw is None else decode(OwnTimesRow, raw)
        except IntegrityFailure as error:
            self._tracer("own-times.damaged", reason=str(error))
            return None
