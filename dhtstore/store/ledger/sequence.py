"""Up to which sequence numbers were given to what this node signs."""

from __future__ import annotations

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY = b"sequence"


class LastSequence:
    """One number; 0 where none was written, or where it is damaged."""

    def __init__(self, table: KeyValue, trace: Tracer = no_trace) -> None:
        self._table, self._trace = table, trace

    def save(self, number: int) -> None:
        self._table.write([(_KEY, encode(number))])

    def load(self) -> int:
        raw = self._table.get(_KEY)
        if raw is None:
            return 0
        try:
            return decode(int, raw)
        except IntegrityFailure as error:
            self._trace("sequence.damaged", reason=str(error))
            return 0
