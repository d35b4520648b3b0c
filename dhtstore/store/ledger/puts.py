"""What this node put, and the receipts it was given for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, decode_signed, encode, part, sound
from dhtstore.store.ledger.roots import Roots, put_key
from dhtstore.trace import Tracer, no_trace


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


class _PutRow(msgspec.Struct, frozen=True, array_like=True):
    name: str
    root: bytes
    size_bytes: int
    created_unix_s: float
    policy: bytes  # packed
    units: int


class Puts:
    """Records of puts by root; a second put of one root replaces the first."""

    def __init__(self, table: KeyValue, roots: Roots, tracer: Tracer = no_trace) -> None:
        self._table, self._roots, self._tracer = table, roots, tracer

    def save(self, record: PutRecord, units: Sequence[Unit]) -> None:
        """``units`` are all that the root is cut into, in DAG order."""
        self._roots.keep(record.cid, (put_key(record.cid), _encode(record)), units)

    def get(self, root: Cid) -> PutRecord | None:
        """None also where the row is damaged."""
        key = put_key(root)
        raw = self._table.get(key)
        return None if raw is None else sound(_decode, key, raw, self._tracer)

    def list(self) -> list[PutRecord]:
        """Oldest first, without those whose rows are damaged."""
        rows = scan_all(self._table, b"put/")
        records = [each for row in rows if (each := sound(_decode, *row, self._tracer))]
        return sorted(records, key=lambda record: (record.created_unix_s, record.root))

    def count(self) -> int:
        return self._table.count(b"put/")

    def remove(self, root: Cid) -> None:
        """Forget the put and its receipts."""
        receipts = [key for key, _ in scan_all(self._table, _receipts_key(root.raw))]
        self._roots.release(root, put_key(root), receipts)


class Receipts:
    """The newest receipt of each (root, unit, node).  Signatures are checked by the caller.

    A damaged row is passed over, with a trace.
    """

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, receipts: Iterable[Receipt]) -> None:
        puts: dict[bytes, Receipt] = {}
        for receipt in receipts:
            key = _receipts_key(receipt.root) + part(receipt.unit) + receipt.node
            known = puts.get(key) or self._known(key)
            if known is None or _age(known) <= _age(receipt):
                puts[key] = receipt
        self._table.write([(key, receipt.packed) for key, receipt in puts.items()])

    def for_root(self, root: Cid) -> list[Receipt]:
        """Ordered by unit, then node."""
        rows = scan_all(self._table, _receipts_key(root.raw))
        return [each for row in rows if (each := sound(_receipt, *row, self._tracer))]

    def _known(self, key: bytes) -> Receipt | None:
        raw = self._table.get(key)
        return None if raw is None else sound(_receipt, key, raw, self._tracer)


def _encode(put: PutRecord) -> bytes:
    packed = put.policy.packed
    return encode(
        _PutRow(put.name, put.root, put.size_bytes, put.created_unix_s, packed, put.units)
    )


def _decode(raw: bytes) -> PutRecord:
    row = decode(_PutRow, raw)
    policy = decode_signed(Policy, row.policy)
    return PutRecord(row.name, row.root, row.size_bytes, row.created_unix_s, policy, row.units)


def _receipt(raw: bytes) -> Receipt:
    return decode_signed(Receipt, raw)


def _age(receipt: Receipt) -> tuple[int, int]:
    return receipt.policy_seq, receipt.time


def _receipts_key(root: bytes) -> bytes:
    """What the keys of all receipts for a root start with."""
    return b"receipt/" + part(root)
