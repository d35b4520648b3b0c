"""Roots that are kept, for each reason, and the units each of them is made of.

The units stand here so that nobody has to walk a DAG to announce or repair what is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dhtstore.errors import IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, part
from dhtstore.trace import Tracer, no_trace

_PLACE_BYTES: Final = 4  # of a unit in DAG order


class _UnitRow(msgspec.Struct, frozen=True, array_like=True):
    roots: tuple[bytes, ...]  # binary CIDs
    size_bytes: int
    spine: bool

    def below(self, root: Cid) -> Unit:
        """The unit of the DAG of ``root``, which names the first of them."""
        roots = tuple(Cid(raw) for raw in self.roots)
        return Unit.named(root.raw, roots, self.size_bytes, spine=self.spine)


class Roots:
    """A root is kept while it is pinned or its put is remembered; so long are its units.  Each
    reason is a row of its own, which this writes together with the units."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer
        # A reason must not come while the last one goes, nor what is made of its row.
        self.changing = threading.RLock()

    def keep(
        self,
        root: Cid,
        reason: tuple[bytes, bytes],
        units: Sequence[Unit],
        *,
        also: Iterable[tuple[bytes, bytes]] = (),
        gone: Iterable[bytes] = (),
    ) -> None:
        """Write a reason (key and value), all units of the root, in DAG order, and the rows in
        ``also``; drop the keys in ``gone``."""
        with self.changing:
            self._table.write([reason, *_rows(root, units), *also], gone)

    def keep_all(self, kept: Iterable[tuple[Cid, tuple[bytes, bytes], Sequence[Unit]]]) -> None:
        """For each root its reason and its units, in one write."""
        rows = [row for root, reason, units in kept for row in (reason, *_rows(root, units))]
        with self.changing:
            self._table.write(rows)

    def release(self, root: Cid, reason: bytes, also: Iterable[bytes] = ()) -> bool:
        """Drop a reason, the keys in ``also``, and the units with the last reason.

        Whether there was such a reason.
        """
        with self.changing:
            held = self._table.get(reason) is not None
            gone = [reason, *also]
            if not any(key != reason for key in self._reasons(root)):
                gone += [key for key, _ in scan_all(self._table, _prefix(root))]
            self._table.write([], gone)
            return held

    def units(self, root: Cid) -> list[Unit]:
        """In DAG order.  Empty where they are damaged, or were kept by a version that did not
        write them: then ``remember`` them once they were found."""
        rows = [value for _, value in scan_all(self._table, _prefix(root))]
        try:
            return [decode(_UnitRow, value).below(root) for value in rows]
        except IntegrityFailure as error:
            self._tracer("ledger.damaged", root=str(root), error=str(error))
            return []

    def remember(self, root: Cid, units: Sequence[Unit]) -> None:
        """Write the units of a root, unless nothing keeps it any more."""
        with self.changing:
            if self._reasons(root):
                self._table.write(_rows(root, units))

    def _reasons(self, root: Cid) -> list[bytes]:
        pins = [key for key, _ in self._table.scan(pins_key(root))]
        put = put_key(root)
        return pins if self._table.get(put) is None else [*pins, put]


def pins_key(root: Cid) -> bytes:
    """What the keys of all pins of a root start with."""
    return b"pin/" + part(root.raw)


def put_key(root: Cid) -> bytes:
    return b"put/" + root.raw


def _prefix(root: Cid) -> bytes:
    return b"unit/" + part(root.raw)


def _rows(root: Cid, units: Sequence[Unit]) -> list[tuple[bytes, bytes]]:
    return [
        (_prefix(root) + at.to_bytes(_PLACE_BYTES, "big"), encode(_row(unit)))
        for at, unit in enumerate(units)
    ]


def _row(unit: Unit) -> _UnitRow:
    return _UnitRow(tuple(root.raw for root in unit.roots), unit.size_bytes, unit.spine)
