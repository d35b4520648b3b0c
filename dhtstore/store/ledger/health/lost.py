"""Units of which it can't be told what they hold, since when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.errors import IntegrityFailure
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode

_PREFIX: Final = b"lost/"


class Lost:
    """A row for each: its name, and a byte for its kind."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def since(self, units: Sequence[tuple[bytes, bool]], running_s: float) -> list[float]:
        """Since when each of these units (name, spine) is lost: now, where it was not before.  All
        others are not.  In seconds of running; where the count of those was lost it begins anew.
        Raises NoRoom, HomeUnusable.
        """
        known = {key: self._decoded(raw) for key, raw in scan_all(self._table, _PREFIX)}
        keys = [_PREFIX + bytes((spine,)) + name for name, spine in units]
        found = [min(known.get(key, running_s), running_s) for key in keys]
        puts = [
            (key, encode(since))
            for key, since in zip(keys, found, strict=True)
            if known.get(key) != since
        ]
        gone = sorted(known.keys() - set(keys))
        if puts or gone:
            self._table.write(puts, gone)
        return found

    def _decoded(self, raw: bytes) -> float:
        try:
            return decode(float, raw)
        except IntegrityFailure:
            return float("inf")  # which is later than now: it begins anew
