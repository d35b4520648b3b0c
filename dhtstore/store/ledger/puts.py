"""What this node put, and the receipts it was given for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Final, TypeVar

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.params import SIGNATURE_BYTES
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, decode_signed, encode, part, sound, take_part
from dhtstore.store.ledger.roots import Roots, put_key
from dhtstore.trace import Tracer, no_trace

PUT_ROWS: Final = (
    b"put/",
    b"receipt/",
    b"unit/",
    b"proof/",
)  # all that is remembered of puts begins so
T = TypeVar("T")
LISTED_PAGE_ROWS: Final = 1024  # of puts, a third of a KiB each


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """What came of asking a holder, at ``unix_s``, whether it still holds a unit: "live", "lacks"
    or "silent" (not reached), and ``why``."""

    unix_s: int
    state: str
    why: str = ""


Evidence = Mapping[tuple[bytes, bytes], Proof]  # (unit, node) -> the last


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the receipts of one root come to.

    ``copies`` is the smallest number over its units of copies that are plausible: of those that
    signed for the newest policy, or were found live since it, and were not found otherwise since.
    ``proved_unix_s`` is when the one of them was last proved that was not for longest, 0 where
    there is none.
    """

    copies: int = 0
    proved_unix_s: int = 0

    @classmethod
    def of(cls, receipts: Iterable[Receipt], proofs: Evidence, units: int, replicas: int) -> Tally:
        """Of all receipts for a root that is cut into ``units``."""
        proved = plausible(receipts, proofs)
        per_unit = Counter(unit for unit, _ in proved)
        complete = bool(per_unit) and len(per_unit) >= units
        copies = min(per_unit.values()) if complete else 0
        return cls(min(copies, replicas), min(proved.values(), default=0))


def plausible(receipts: Iterable[Receipt], proofs: Evidence) -> dict[tuple[bytes, bytes], int]:
    """The copies that count by all receipts for a root, (unit, node) -> when it was last proved:
    whoever signed for the newest policy, or was found live since it, and was not found otherwise
    since."""
    known = list(receipts)
    newest = max((receipt.policy_seq for receipt in known), default=0)
    since_unix_s = min((each.time for each in known if each.policy_seq == newest), default=0)
    proved: dict[tuple[bytes, bytes], int] = {}
    for receipt in known:
        copy = (receipt.unit, receipt.node)
        proof = proofs.get(copy, Proof(0, "live"))
        latest = max(proof.unix_s if proof.state == "live" else 0, receipt.time)
        refuted = proof.state != "live" and proof.unix_s >= receipt.time
        if not refuted and (receipt.policy_seq == newest or latest > since_unix_s):
            proved[copy] = latest
    return proved


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


class ListedPut(msgspec.Struct, frozen=True, gc=False):
    """A put as a list of many shows it; ``tally`` is what its receipts come to."""

    name: str
    cid: Cid
    size_bytes: int
    created_unix_s: float
    replicas: int
    expires: int
    tally: Tally


class _PutRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: str
    root: bytes
    size_bytes: int
    created_unix_s: float
    policy: bytes  # packed
    units: int
    tally: Tally | None = None  # None until there are receipts, and in an older ledger


class _PutHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: msgspec.Raw
    root: msgspec.Raw
    size_bytes: int
    created_unix_s: float


# Listing reads rows by the hundred thousand: decoders that are there, no signature kept beside.
_put_row: Final = msgspec.msgpack.Decoder(_PutRow).decode
_policy: Final = msgspec.msgpack.Decoder(Policy).decode


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

    def listed(self, at_once: int) -> Iterator[Sequence[ListedPut]]:
        """Oldest first, so many at a time, by reading one row of each put: its receipts were
        counted when they came.

        Those whose rows are damaged are left out, with a trace."""
        rows = scan_all(self._table, b"put/", LISTED_PAGE_ROWS)
        by_age = [(when, *row) for row in rows if (when := self._sound(_created, row)) is not None]
        by_age.sort(key=itemgetter(0))  # stable: those of one moment stay in the order of CIDs
        for at in range(0, len(by_age), at_once):
            yield self._read_page([(key, raw) for _, key, raw in by_age[at : at + at_once]])

    def list(self) -> list[PutRecord]:
        """Oldest first, without those whose rows are damaged."""
        rows = scan_all(self._table, b"put/")
        records = [each for row in rows if (each := sound(_decode, *row, self._tracer))]
        return sorted(records, key=lambda record: (record.created_unix_s, record.root))

    def count(self) -> int:
        return self._table.count(b"put/")

    def remove(self, root: Cid) -> None:
        """Forget the put and its receipts."""
        gone = [key for key, _ in scan_all(self._table, _receipts_key(root.raw))]
        gone += [key for key, _ in scan_all(self._table, _proofs_key(root.raw))]
        self._roots.release(root, put_key(root), gone)

    def _sound(self, read: Callable[[bytes], T], row: tuple[bytes, bytes]) -> T | None:
        return sound(read, *row, self._tracer)

    def _read_page(self, rows: Sequence[tuple[bytes, bytes]]) -> Sequence[ListedPut]:
        try:
            return [self._listed(raw) for _, raw in rows]
        except IntegrityFailure:
            found = [self._sound(self._listed, row) for row in rows]
            return [each for each in found if each is not None]

    def _listed(self, raw: bytes) -> ListedPut:
        try:
            row = _put_row(raw)
            policy = _policy(row.policy[SIGNATURE_BYTES:])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise IntegrityFailure(f"the ledger holds a damaged put: {error}") from error
        tally = row.tally
        if tally is None:
            receipts = Receipts(self._table, self._tracer)
            root = Cid(row.root)
            tally = Tally.of(
                receipts.for_root(root), receipts.proofs(root), row.units, policy.replicas
            )
        return ListedPut(
            row.name,
            Cid(row.root),
            row.size_bytes,
            row.created_unix_s,
            policy.replicas,
            policy.expires,
            tally,
        )


class Receipts:
    """The newest receipt of each (root, unit, node).  Signatures are checked by the caller.

    A damaged row is passed over, with a trace.
    """

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def save(self, receipts: Iterable[Receipt]) -> None:
        """Together with what all of its root come to then, in the row of the put."""
        puts: dict[bytes, Receipt] = {}
        for receipt in receipts:
            key = _receipts_key(receipt.root) + part(receipt.unit) + receipt.node
            known = puts.get(key) or self._known(key)
            if known is None or _age(known) <= _age(receipt):
                puts[key] = receipt
        rows = [(key, receipt.packed) for key, receipt in puts.items()]
        roots = dict.fromkeys(receipt.root for receipt in puts.values())
        tallied = [row for root in roots for row in self._tallied(root, puts)]
        self._table.write([*rows, *tallied])

    def for_root(self, root: Cid) -> list[Receipt]:
        """Ordered by unit, then node."""
        rows = scan_all(self._table, _receipts_key(root.raw))
        return [each for row in rows if (each := sound(_receipt, *row, self._tracer))]

    def proofs(self, root: Cid) -> dict[tuple[bytes, bytes], Proof]:
        """What came of asking its holders last, by unit and node."""
        prefix = _proofs_key(root.raw)
        found: dict[tuple[bytes, bytes], Proof] = {}
        for key, raw in scan_all(self._table, prefix):
            proof = sound(partial(decode, Proof), key, raw, self._tracer)
            if proof is not None:
                found[take_part(key[len(prefix) :])] = proof
        return found

    def prove(self, root: Cid, found: Evidence) -> None:
        """Write down what holders said, or did not, and what its copies come to then."""
        rows = [
            (_proofs_key(root.raw) + part(unit) + node, encode(proof))
            for (unit, node), proof in found.items()
        ]
        self._table.write(rows)
        self._table.write(self._tallied(root.raw, {}))

    def _tallied(self, root: bytes, new: Mapping[bytes, Receipt]) -> list[tuple[bytes, bytes]]:
        """The row of the put of ``root`` with what its receipts come to; none if it is not known,
        or damaged."""
        key = put_key(Cid(root))
        raw = self._table.get(key)
        row = None if raw is None else sound(partial(decode, _PutRow), key, raw, self._tracer)
        if row is None:
            return []
        stored = dict(scan_all(self._table, _receipts_key(root)))
        stored |= {at: receipt.packed for at, receipt in new.items() if receipt.root == root}
        sound_ones = (sound(_receipt, at, packed, self._tracer) for at, packed in stored.items())
        proofs, replicas = self.proofs(Cid(root)), decode_signed(Policy, row.policy).replicas
        tally = Tally.of((each for each in sound_ones if each), proofs, row.units, replicas)
        return [(key, encode(msgspec.structs.replace(row, tally=tally)))]

    def _known(self, key: bytes) -> Receipt | None:
        raw = self._table.get(key)
        return None if raw is None else sound(_receipt, key, raw, self._tracer)


def _created(raw: bytes) -> float:
    return decode(_PutHead, raw).created_unix_s


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


def _proofs_key(root: bytes) -> bytes:
    """What the keys of all proofs for a root start with."""
    return b"proof/" + part(root)


def _receipts_key(root: bytes) -> bytes:
    """What the keys of all receipts for a root start with."""
    return b"receipt/" + part(root)
