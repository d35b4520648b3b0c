"""Roots that are being removed: what a crash interrupts of that is done at the next start."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.store.ledger.contract import KeyValue, scan_all

_PREFIX: Final = b"removing/"


class Removals:
    """``begin`` one before its rows go, and ``end`` it when all are gone."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def begin(self, root: Cid) -> None:
        self._table.write([(_PREFIX + root.raw, b"")])

    def end(self, root: Cid) -> None:
        self._table.write([], [_PREFIX + root.raw])

    def begun(self) -> Sequence[Cid]:
        """Those that did not end."""
        roots: list[Cid] = []
        for key, _ in scan_all(self._table, _PREFIX):
            with suppress(InvalidCid, IndexError):
                roots.append(Cid.decode(key[len(_PREFIX) :]))
        return roots
