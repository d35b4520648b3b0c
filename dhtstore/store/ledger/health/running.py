"""How long this node has been running in all its lives, and when its wall clock was last set."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import Seconds, decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"running"


class RunningRow(NamedTuple):
    """Seconds of running: in all, and when the clock was last set by more than a claim's grace."""

    total_s: Seconds = 0.0
    set_s: Seconds = 0.0


class RunningTime:
    """One row; where it is missing or damaged, the time begins anew."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: RunningRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def load(self) -> RunningRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return RunningRow() if raw is None else decode(RunningRow, raw)
        except IntegrityFailure as error:
            self._tracer("running.damaged", reason=str(error))
            return RunningRow()
