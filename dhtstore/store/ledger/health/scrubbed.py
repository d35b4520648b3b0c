"""How far the blocks here were verified."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"scrub/pass"


class ScrubRow(NamedTuple):
    """As ``replication.scrubbing.ScrubPass``."""

    began_unix_s: int = 0
    at: bytes = b""
    over: bool = True
    whole_unix_s: int = 0


class Scrubbed:
    """One row; where it is missing or damaged, nothing was verified yet."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, scrub: ScrubRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(scrub))])

    def load(self) -> ScrubRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return ScrubRow() if raw is None else decode(ScrubRow, raw)
        except IntegrityFailure as error:
            self._tracer("scrub.damaged", reason=str(error))
            return ScrubRow()
