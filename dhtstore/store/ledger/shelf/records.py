"""Records that this node keeps for others, as an index node, for its next start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.params import CONTACT_RECORD_MAX_BYTES
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"record/"
_ORIGIN_MAX_BYTES: Final = 64  # a /48 as text has at most 19
_Second = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class RecordRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record as it travels, until when it is kept, the ``origin`` under which it counts, and when
    its signer last proved that it lives, 0 for never; times in unix seconds of this node."""

    packed: Annotated[bytes, msgspec.Meta(max_length=CONTACT_RECORD_MAX_BYTES)]
    expires: _Second
    origin: Annotated[bytes, msgspec.Meta(max_length=_ORIGIN_MAX_BYTES)]
    reached: bool
    proved: _Second = 0
    ponged: bool = False


class KeptRecords:
    """Rows by a name that says what the record is of.  A hint only: what is damaged or cannot be
    read is done without, with a trace."""

    def __init__(self, table: KeyValue, trace: Tracer = no_trace) -> None:
        self._table, self._trace = table, trace

    def write(self, rows: Mapping[bytes, RecordRow | None]) -> None:
        """Those of None are kept no more.  Raises NoRoom or HomeUnusable."""
        puts = [(_PREFIX + name, encode(row)) for name, row in rows.items() if row is not None]
        self._table.write(puts, [_PREFIX + name for name, row in rows.items() if row is None])

    def page(self, after: bytes | None = None) -> dict[bytes, RecordRow | None]:
        """The first rows by name, with ``after`` those above that; None for a damaged one.  Raises
        HomeUnusable."""
        start = None if after is None else _PREFIX + after
        page = self._table.scan(_PREFIX, after=start, limit=SCAN_PAGE_ROWS)
        return {key[len(_PREFIX) :]: self._row(key, raw) for key, raw in page}

    def _row(self, key: bytes, raw: bytes) -> RecordRow | None:
        try:
            return decode(RecordRow, raw)
        except IntegrityFailure as error:
            self._trace("records.damaged", key=key.hex(), reason=str(error))
            return None
