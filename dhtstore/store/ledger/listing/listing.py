"""The rows of lists of puts, each kept ready beside its put and under the time of it: a list of
many reads nothing else, counts nothing and sorts nothing.

Whoever writes a put, its receipts or proofs writes the row that ``Listing.row`` makes of them in
the same transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, decode_signed, encode, part, sound, take_part
from dhtstore.store.ledger.listing.tally import Plausible, Proof, Tally, holder_sets, plausible
from dhtstore.store.ledger.roots import put_key
from dhtstore.trace import Tracer, no_trace

LISTED: Final = b"listed/"
_TIME_BYTES: Final = 8
_SIGN: Final = 1 << 63
_ALL: Final = (1 << 64) - 1
NewRows = Mapping[bytes, bytes]  # that are about to be written
_NOTHING_NEW: Final[NewRows] = {}


class ListedPut(PutSummary, frozen=True, gc=False):
    """A row as it stands in the ledger: with who holds the copies, ``tally.holder_sets``."""

    sets: tuple[bytes, ...] = ()


_listed: Final = msgspec.msgpack.Decoder(ListedPut).decode


class PutRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A put as it stands in the ledger, which is what its row of lists is made of."""

    name: str
    root: bytes
    size_bytes: int
    created_unix_s: float
    policy: bytes  # packed
    units: int


class Listing:
    """Thread-safe as the table is; those who write what it makes do so one after another."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def row(self, root: bytes, new: NewRows = _NOTHING_NEW) -> list[tuple[bytes, bytes]]:
        """The row of the put of ``root`` as it is to be once ``new`` is written; none if there is
        no such put, or it is damaged, of which the trace tells."""
        key = put_key(Cid(root))
        raw = new.get(key) or self._table.get(key)
        made = (
            None if raw is None else sound(partial(self._made, root, new), key, raw, self._tracer)
        )
        return [] if made is None else [made]

    def keys(self, root: bytes) -> list[bytes]:
        """Where the row of the put of ``root`` stands.  If the put is damaged, that is looked for
        among all: it does not tell its time any more."""
        key = put_key(Cid(root))
        raw = self._table.get(key)
        if raw is None:
            return []
        put = sound(partial(decode, PutRow), key, raw, self._tracer)
        if put is None:
            return [at for at, _ in scan_all(self._table, LISTED) if _root_of(at) == root]
        return [_key(put.created_unix_s, root)]

    def pages(self, page_rows: int) -> Iterator[Sequence[ListedPut]]:
        """All, oldest first, so many at a time.  A row that is damaged is made anew of its put,
        with a trace; what is put again meanwhile may come twice, with both times."""
        page = self._table.scan(LISTED, limit=page_rows)
        while page:
            yield self._read(page)
            page = self._table.scan(LISTED, after=page[-1][0], limit=page_rows)

    def receipts(self, root: bytes, new: NewRows = _NOTHING_NEW) -> list[Receipt]:
        """Ordered by unit, then node, without those that are damaged."""
        rows = self._rows(receipts_key(root), new)
        return [each for row in rows if (each := sound(decode_receipt, *row, self._tracer))]

    def proofs(self, root: bytes, new: NewRows = _NOTHING_NEW) -> dict[tuple[bytes, bytes], Proof]:
        """What came of asking its holders last, by unit and node."""
        prefix = proofs_key(root)
        found: dict[tuple[bytes, bytes], Proof] = {}
        for key, raw in self._rows(prefix, new):
            proof = sound(partial(decode, Proof), key, raw, self._tracer)
            if proof is not None:
                found[take_part(key[len(prefix) :])] = proof
        return found

    def _rows(self, prefix: bytes, new: NewRows) -> Iterable[tuple[bytes, bytes]]:
        rows = scan_all(self._table, prefix)
        if not new:
            return rows
        return sorted((dict(rows) | {k: v for k, v in new.items() if k.startswith(prefix)}).items())

    def _made(self, root: bytes, new: NewRows, raw: bytes) -> tuple[bytes, bytes]:
        put = decode(PutRow, raw)
        policy = decode_signed(Policy, put.policy)
        proved = plausible(self.receipts(root, new), self.proofs(root, new))
        try:
            return _key(put.created_unix_s, root), encode(_told(put, root, policy, proved))
        except (ValueError, OverflowError) as error:
            raise IntegrityFailure(f"the ledger holds a put of no time: {error}") from error

    def _read(self, page: Sequence[tuple[bytes, bytes]]) -> Sequence[ListedPut]:
        try:
            return [_listed(raw) for _, raw in page]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [put for key, raw in page for put in self._read_one(key, raw)]

    def _read_one(self, key: bytes, raw: bytes) -> list[ListedPut]:
        put = sound(partial(decode, ListedPut), key, raw, self._tracer)
        if put is not None:
            return [put]
        return [decode(ListedPut, made) for _, made in self.row(_root_of(key))]


def receipts_key(root: bytes) -> bytes:
    """What the keys of all receipts for a root start with."""
    return b"receipt/" + part(root)


def proofs_key(root: bytes) -> bytes:
    """What the keys of all proofs for a root start with."""
    return b"proof/" + part(root)


def decode_receipt(raw: bytes) -> Receipt:
    """Raises IntegrityFailure."""
    return decode_signed(Receipt, raw)


def _told(put: PutRow, root: bytes, policy: Policy, proved: Plausible) -> ListedPut:
    """Raises ValueError or OverflowError for a time that is no number of seconds."""
    tally = Tally.of(proved, put.units, policy.replicas)
    return ListedPut(
        name=put.name,
        cid=str(Cid(root)),
        size=put.size_bytes,
        created=Moment.at(put.created_unix_s),
        copies=tally.copies,
        replicas=policy.replicas,
        expires=Moment.at_or_never(policy.expires),
        proved=Moment.at_or_never(tally.proved_unix_s),
        sets=holder_sets(proved),
    )


def _key(created_unix_s: float, root: bytes) -> bytes:
    """Keys are in the order of times: the bits of positive floats are in the order of numbers (IEEE
    754), those of negative ones in the opposite."""
    bits = int.from_bytes(struct.pack(">d", created_unix_s), "big")
    in_order = bits ^ (_ALL if bits & _SIGN else _SIGN)
    return LISTED + in_order.to_bytes(_TIME_BYTES, "big") + root


def _root_of(key: bytes) -> bytes:
    return key[len(LISTED) + _TIME_BYTES :]
