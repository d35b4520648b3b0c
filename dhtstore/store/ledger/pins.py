"""Pins: which roots are kept whatever the network wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.store.ledger.roots import Roots, pins_key

PinKind = Literal["put", "user"]  # made by a put, or by hand


class Pin(msgspec.Struct, frozen=True, array_like=True):
    root: bytes  # binary CID
    name: str
    kind: PinKind

    @property
    def cid(self) -> Cid:
        return Cid(self.root)


class Pins:
    """A root may be pinned once by each kind; it is kept while any of them stands."""

    def __init__(self, table: KeyValue, roots: Roots) -> None:
        self._table, self._roots = table, roots

    def add(self, root: Cid, name: str, kind: PinKind, units: Sequence[Unit]) -> None:
        """``units`` are all that the root is made of, in DAG order."""
        self._roots.keep(root, (_key(root, kind), encode(Pin(root.raw, name, kind))), units)

    def remove(self, root: Cid, kind: PinKind) -> bool:
        """Whether there was one."""
        return self._roots.release(root, _key(root, kind))

    def list(self) -> list[Pin]:
        """Ordered by root, then kind."""
        return [decode(Pin, value) for _, value in scan_all(self._table, b"pin/")]


def _key(root: Cid, kind: PinKind) -> bytes:
    return pins_key(root) + kind.encode()
