"""Pins: which roots are kept whatever the network wants."""

from __future__ import annotations

from typing import Literal

import msgspec

from dhtstore.model.cid import Cid
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode, part

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

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def add(self, root: Cid, name: str, kind: PinKind) -> None:
        self._table.write([(_key(root, kind), encode(Pin(root.raw, name, kind)))])

    def remove(self, root: Cid, kind: PinKind) -> bool:
        """Whether there was one."""
        key = _key(root, kind)
        if self._table.get(key) is None:
            return False
        self._table.write([], [key])
        return True

    def list(self) -> list[Pin]:
        """Ordered by root, then kind."""
        return [decode(Pin, value) for _, value in self._table.scan(b"pin/")]

    def has(self, root: Cid) -> bool:
        return bool(self._table.scan(_key(root, "")))


def _key(root: Cid, kind: str) -> bytes:
    return b"pin/" + part(root.raw) + kind.encode()
