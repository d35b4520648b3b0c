"""What this node put, and the receipts it was given for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.params import PUT_ROWS_BYTES, RECEIPTS_PER_UNIT_MAX
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, decode_signed, encode, part, sound
from dhtstore.store.ledger.listing.listing import (
    LISTED,
    ListedPut,
    Listing,
    PutRow,
    decode_receipt,
    proofs_key,
    receipts_key,
)
from dhtstore.store.ledger.listing.places import PLACES
from dhtstore.store.ledger.listing.tally import Evidence, Proof
from dhtstore.store.ledger.roots import Roots, put_key
from dhtstore.trace import Tracer, no_trace

PUT_ROWS: Final = (
    b"put/",
    LISTED,
    b"receipt/",
    b"unit/",
    b"proof/",
    PLACES,
)  # all that is remembered of puts begins so
_TRIAL: Final = b"trial"  # a row that is gone at once


@dataclass(frozen=True, slots=True)
class PutRecord:
    """One root that was put: ``units`` is how many its DAG is cut into."""

    name: str
    root: bytes  # binary CID
    size_bytes: int
    created_unix_s: float
    policy: Policy
    units: int

    @property
    def cid(self) -> Cid:
        return Cid(self.root)


class Puts:
    """Records of puts by root; a second put of one root replaces the first."""

    def __init__(self, table: KeyValue, roots: Roots, tracer: Tracer = no_trace) -> None:
        self._table, self._roots, self._tracer = table, roots, tracer
        self._listing = Listing(table, tracer)

    def save(self, record: PutRecord, units: Sequence[Unit]) -> None:
        """``units`` are all that the root is cut into, in DAG order."""
        root, reason = record.cid, (put_key(record.cid), _encode(record))
        with self._roots.changing:
            listed = self._listing.row(root.raw, dict([reason]))
            gone = set(self._listing.keys(root.raw)) - {key for key, _ in listed}
            self._roots.keep(root, reason, units, also=listed, gone=gone)

    def check_room(self) -> None:
        """Whether a put could be written down: as much is written, and removed.  Raises NoRoom,
        HomeUnusable."""
        self._table.write([(_TRIAL, bytes(PUT_ROWS_BYTES))])
        self._table.write([], [_TRIAL])

    def get(self, root: Cid) -> PutRecord | None:
        """None also where the row is damaged."""
        key = put_key(root)
        raw = self._table.get(key)
        return None if raw is None else sound(_decode, key, raw, self._tracer)

    def known(self, root: Cid) -> bool:
        """Whether it is written down, be its row damaged."""
        return self._table.get(put_key(root)) is not None

    def listed(self, at_once: int) -> Iterator[Sequence[ListedPut]]:
        """As lists show them: ``Listing.pages``."""
        return self._listing.pages(at_once)

    def summary(self, root: Cid) -> ListedPut | None:
        """As a list shows it now; None if it is not known here, or damaged."""
        return next((decode(ListedPut, raw) for _, raw in self._listing.row(root.raw)), None)

    def list(self) -> list[PutRecord]:
        """Oldest first, without those whose rows are damaged."""
        rows = scan_all(self._table, b"put/")
        records = [each for row in rows if (each := sound(_decode, *row, self._tracer))]
        return sorted(records, key=lambda record: (record.created_unix_s, record.root))

    def count(self) -> int:
        return self._table.count(b"put/")

    def remove(self, root: Cid) -> None:
        """Forget the put and its receipts."""
        with self._roots.changing:
            gone = self._listing.keys(root.raw)
            gone += [key for key, _ in scan_all(self._table, receipts_key(root.raw))]
            gone += [key for key, _ in scan_all(self._table, proofs_key(root.raw))]
            self._roots.release(root, put_key(root), gone)


class Receipts:
    """The newest receipt of each (root, unit, node).  Signatures are checked by the caller.

    A damaged row is passed over, with a trace.
    """

    def __init__(self, table: KeyValue, roots: Roots, tracer: Tracer = no_trace) -> None:
        self._table, self._roots, self._tracer = table, roots, tracer
        self._listing = Listing(table, tracer)

    def save(self, receipts: Iterable[Receipt]) -> None:
        """Together with what all of their roots come to then, for lists."""
        with self._roots.changing:
            newest: dict[bytes, Receipt] = {}
            for receipt in receipts:
                key = receipts_key(receipt.root) + part(receipt.unit) + receipt.node
                known = newest.get(key) or self._known(key)
                if known is None or _age(known) <= _age(receipt):
                    newest[key] = receipt
            rows = {key: receipt.packed for key, receipt in newest.items()}
            self._write(rows, dict.fromkeys(receipt.root for receipt in newest.values()))

    def adopt(self, receipts: Sequence[Receipt]) -> None:
        """Those that holders signed since the put, as far as there is room beside what is known of
        each unit."""
        fits, beside = list[Receipt](), Counter[bytes]()
        for receipt in receipts:
            key = receipts_key(receipt.root) + part(receipt.unit)
            known = self._known(key + receipt.node) is not None
            if known or self._table.count(key) + beside[key] < RECEIPTS_PER_UNIT_MAX:
                fits.append(receipt)
                beside[key] += 1
        if fits:
            self.save(fits)

    def for_root(self, root: Cid) -> list[Receipt]:
        """Ordered by unit, then node."""
        return self._listing.receipts(root.raw)

    def count(self, root: Cid, unit: bytes) -> int:
        """How many signed for one unit so far."""
        return self._table.count(receipts_key(root.raw) + part(unit))

    def proofs(self, root: Cid) -> dict[tuple[bytes, bytes], Proof]:
        """What came of asking its holders last, by unit and node."""
        return self._listing.proofs(root.raw)

    def proof(self, root: Cid, unit: bytes, node: bytes) -> Proof | None:
        """The same of one; None where it is damaged, too."""
        key = proofs_key(root.raw) + part(unit) + node
        raw = self._table.get(key)
        return None if raw is None else sound(partial(decode, Proof), key, raw, self._tracer)

    def prove(self, root: Cid, found: Evidence) -> None:
        """Write down what holders said, or did not, and what its copies come to then."""
        rows = {
            proofs_key(root.raw) + part(unit) + node: encode(proof)
            for (unit, node), proof in found.items()
        }
        with self._roots.changing:
            self._write(rows, [root.raw])

    def _write(self, rows: dict[bytes, bytes], roots: Iterable[bytes]) -> None:
        listed = [row for root in roots for row in self._listing.row(root, rows)]
        self._table.write([*rows.items(), *listed])

    def _known(self, key: bytes) -> Receipt | None:
        raw = self._table.get(key)
        return None if raw is None else sound(decode_receipt, key, raw, self._tracer)


def _encode(put: PutRecord) -> bytes:
    packed = put.policy.packed
    return encode(PutRow(put.name, put.root, put.size_bytes, put.created_unix_s, packed, put.units))


def _decode(raw: bytes) -> PutRecord:
    row = decode(PutRow, raw)
    policy = decode_signed(Policy, row.policy)
    return PutRecord(row.name, row.root, row.size_bytes, row.created_unix_s, policy, row.units)


def _age(receipt: Receipt) -> tuple[int, int]:
    return receipt.policy_seq, receipt.time
