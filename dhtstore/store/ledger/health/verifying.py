"""How far the blocks here were read by a `verify` that was cut short."""

from __future__ import annotations

from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY: Final = b"verify/cut"


class VerifyRow(NamedTuple):
    """Begun at ``began_unix_s``, 0 for never: up to the multihash ``at`` so many ``blocks`` of
    ``size_bytes`` are whole; ``damaged`` are the CIDs of the others."""

    began_unix_s: int = 0
    at: bytes = b""
    blocks: int = 0
    size_bytes: int = 0
    damaged: tuple[bytes, ...] = ()


class Verifying:
    """One row; where it is missing or damaged, nothing was read."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, row: VerifyRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_KEY, encode(row))])

    def clear(self) -> None:
        """All was read.  Raises NoRoom, HomeUnusable."""
        if self._table.get(_KEY) is not None:
            self._table.write([], [_KEY])

    def load(self) -> VerifyRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_KEY)
        try:
            return VerifyRow() if raw is None else decode(VerifyRow, raw)
        except IntegrityFailure as error:
            self._tracer("verify.damaged", reason=str(error))
            return VerifyRow()
