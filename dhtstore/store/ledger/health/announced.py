"""How far the announcing of what is kept here is, so that a restart goes on with it."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"announced"


class AnnouncedRow(NamedTuple):
    """Of each line the times of its parts, as ``CycleProgress.packed``; and as whom, and where, it
    was told: where that is another now, nothing counts."""

    lines: tuple[bytes, ...] = ()
    told_as: str = ""


class Announced:
    """One row; where it is missing or damaged, nothing was announced yet."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: AnnouncedRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def load(self) -> AnnouncedRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return AnnouncedRow() if raw is None else decode(AnnouncedRow, raw)
        except IntegrityFailure as error:
            self._tracer("announced.damaged", reason=str(error))
            return AnnouncedRow()
