"""Holders that are yet to be told what this node's owner wants for a root by now, since when."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from dhtstore.errors import IntegrityFailure, InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.params import PUBLIC_KEY_BYTES
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode

_PREFIX: Final = b"untold/"
_ROWS_MAX: Final = 4096  # some 400 KB: who is not among them finds out in its own turn


class Untold:
    """A row for each holder and root."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def add(self, root: Cid, holders: Collection[PublicKey], unix_s: float) -> None:
        """As far as there is room beside those that wait.  Raises NoRoom, HomeUnusable."""
        rows = [(_key(holder, root), encode(unix_s)) for holder in holders]
        if rows and len(rows) + self._table.count(_PREFIX) <= _ROWS_MAX:
            self._table.write(rows)

    def drop(self, root: Cid, holders: Collection[PublicKey]) -> None:
        """They know.  Raises NoRoom, HomeUnusable."""
        if holders:
            self._table.write([], [_key(holder, root) for holder in holders])

    def holders(self) -> Collection[PublicKey]:
        """Each once."""
        end = len(_PREFIX) + PUBLIC_KEY_BYTES
        keys = (key[len(_PREFIX) : end] for key, _ in scan_all(self._table, _PREFIX))
        return dict.fromkeys(map(PublicKey, keys))

    def of(self, holder: PublicKey) -> list[tuple[Cid, float]]:
        """Of which roots it is to be told, and since when; since ever where the row is damaged."""
        roots: list[tuple[Cid, float]] = []
        for key, raw in scan_all(self._table, _PREFIX + holder):
            with suppress(InvalidCid, IndexError):
                roots.append((Cid.decode(key[len(_PREFIX + holder) :]), _decoded(raw)))
        return roots


def _key(holder: PublicKey, root: Cid) -> bytes:
    return _PREFIX + holder + root.raw


def _decoded(raw: bytes) -> float:
    try:
        return decode(float, raw)
    except IntegrityFailure:
        return 0.0
