"""Pins: which roots are kept whatever the network wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, sound, take_part
from dhtstore.store.ledger.roots import Roots, pins_key
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"pin/"
PinKind = Literal["put", "user"]  # made by a put, or by hand
_KINDS: Final[tuple[PinKind, ...]] = ("put", "user")


class Pin(msgspec.Struct, frozen=True, array_like=True):
    root: bytes  # binary CID
    name: str
    kind: PinKind

    @property
    def cid(self) -> Cid:
        return Cid(self.root)


class Pins:
    """A root may be pinned once by each kind; it is kept while any of them stands."""

    def __init__(self, table: KeyValue, roots: Roots, tracer: Tracer = no_trace) -> None:
        self._table, self._roots, self._tracer = table, roots, tracer

    def add(self, root: Cid, name: str, kind: PinKind, units: Sequence[Unit]) -> None:
        """``units`` are all that the root is made of, in DAG order."""
        self._roots.keep(root, (_key(root, kind), encode(Pin(root.raw, name, kind))), units)

    def add_all(self, pins: Sequence[tuple[Cid, str, Sequence[Unit]]]) -> None:
        """By hand, roots with their names and units: all of them or none."""
        self._roots.keep_all(
            (root, (_key(root, "user"), encode(Pin(root.raw, name, "user"))), units)
            for root, name, units in pins
        )

    def remove(self, root: Cid, kind: PinKind) -> bool:
        """Whether there was one."""
        return self._roots.release(root, _key(root, kind))

    def pinned(self, root: Cid) -> bool:
        """Whether it is, by whichever kind."""
        return any(self._table.get(_key(root, kind)) is not None for kind in _KINDS)

    def name(self, root: Cid) -> str:
        """What it is called, "" where it is not pinned or has no name; that by hand comes first."""
        rows = [self._table.get(_key(root, kind)) for kind in ("user", "put")]
        pins = (sound(_pin, pins_key(root), raw, self._tracer) for raw in rows if raw)
        return next((pin.name for pin in pins if pin and pin.name), "")

    def list(self) -> list[Pin]:
        """Ordered by root, then kind.  Of a damaged row its key tells all but the name: what it
        keeps must not be lost for that."""
        rows = scan_all(self._table, _PREFIX)
        pins = (sound(_pin, *row, self._tracer) or _pin_of_key(row[0]) for row in rows)
        return [pin for pin in pins if pin is not None]


def _pin(raw: bytes) -> Pin:
    return decode(Pin, raw)


def _pin_of_key(key: bytes) -> Pin | None:
    """The pin whose row stands under ``key``, without its name; None for no key of ours."""
    root, kind = take_part(key[len(_PREFIX) :])
    if kind in (b"put", b"user"):
        return Pin(root, "", "put" if kind == b"put" else "user")
    return None


def _key(root: Cid, kind: PinKind) -> bytes:
    return pins_key(root) + kind.encode()
