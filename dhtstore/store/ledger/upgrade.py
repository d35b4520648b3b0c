"""Ledgers of earlier layouts, brought to the one that this version reads.

Layout 1 kept a signed object as an array of its fields with the signature at the end; layout 2
keeps signature ‖ body, the bytes that were signed (``model.signing``).  The body is the same, so
signatures hold.  Layout 3 keeps the rows of lists of puts (``listing``), layout 4 says
in them who holds the copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.params import SIGNATURE_BYTES
from dhtstore.store.ledger.contract import LAYOUT_KEY, KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.store.ledger.listing.listing import Listing
from dhtstore.trace import Tracer

LEDGER_LAYOUT: Final = 4
_WITH_BODIES: Final = 2
_LISTED_AT_ONCE: Final = 1024  # rows in memory, of some 300 bytes
_PUTS: Final = b"put/"
_CLAIM_POLICY_AT: Final = 5
_PUT_POLICY_AT: Final = 4


def is_current(ledger: KeyValue) -> bool:
    """Whether ``upgrade`` has nothing to do."""
    return _layout(ledger) >= LEDGER_LAYOUT


def upgrade(ledger: KeyValue, tracer: Tracer) -> None:
    """Rewrite what an earlier version wrote; does nothing the second time, and goes on where it was
    interrupted.

    A row that is damaged stays as it is, with a trace: whoever reads it passes it over.
    """
    if _layout(ledger) < _WITH_BODIES:  # all or nothing
        ledger.write([*_rewritten(ledger, tracer), (LAYOUT_KEY, encode(_WITH_BODIES))])
    if _layout(ledger) < LEDGER_LAYOUT:
        _list_puts(ledger, tracer)
        ledger.write([(LAYOUT_KEY, encode(LEDGER_LAYOUT))])


def _layout(ledger: KeyValue) -> int:
    """Where the number is damaged, the lowest that ever had one."""
    raw = ledger.get(LAYOUT_KEY)
    if raw is None:
        return 1
    try:
        return decode(int, raw)
    except IntegrityFailure:
        return _WITH_BODIES


def _list_puts(ledger: KeyValue, tracer: Tracer) -> None:
    """A row that was written before an interruption is written again, and is the same."""
    listing = Listing(ledger, tracer)
    puts = scan_all(ledger, _PUTS)
    rows = (row for key, _ in puts for row in listing.row(key.removeprefix(_PUTS)))
    while page := list(islice(rows, _LISTED_AT_ONCE)):
        ledger.write(page)


def _rewritten(ledger: KeyValue, tracer: Tracer) -> Iterator[tuple[bytes, bytes]]:
    for prefix, rewrite in _REWRITES.items():
        for key, value in scan_all(ledger, prefix):
            try:
                yield key, rewrite(value)
            except IntegrityFailure as error:
                tracer("ledger.damaged", key=key.hex(), error=str(error))


def _packed(fields: list[Any]) -> bytes:
    signature = fields[-1] if fields else None
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise IntegrityFailure("a signed object without its signature")
    return signature + msgspec.msgpack.encode(fields[:-1])


def _signed(value: bytes) -> bytes:
    return _packed(decode(list[Any], value))


def _with_policy_at(at: int) -> Callable[[bytes], bytes]:
    def rewrite(value: bytes) -> bytes:
        row = decode(list[Any], value)
        if len(row) <= at or not isinstance(row[at], list):
            raise IntegrityFailure("a row without its policy")
        row[at] = _packed(row[at])
        return encode(row)

    return rewrite


_REWRITES: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    b"policy/": _signed,
    b"receipt/": _signed,
    b"claim/": _with_policy_at(_CLAIM_POLICY_AT),
    _PUTS: _with_policy_at(_PUT_POLICY_AT),
}
