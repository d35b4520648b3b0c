"""On which network each holder of what was put from here was met last."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, sound
from dhtstore.trace import Tracer, no_trace

PLACES: Final = b"place/"


class HolderPlace(NamedTuple):
    """``model.contact.subnet`` of where it answered, and its operator's label, "" where that was
    not told."""

    network: str
    label: str = ""


class HolderPlaces:
    """A row for each, by node id: of those only who signed for something that was put from here.  A
    damaged one is passed over, with a trace."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def all(self) -> dict[bytes, HolderPlace]:
        """Raises HomeUnusable."""
        found: dict[bytes, HolderPlace] = {}
        for key, raw in scan_all(self._table, PLACES):
            place = sound(partial(decode, HolderPlace), key, raw, self._tracer)
            if place is not None:
                found[key.removeprefix(PLACES)] = place
        return found

    def save(self, places: Mapping[bytes, HolderPlace]) -> None:
        """What is news of them.  Raises NoRoom, HomeUnusable."""
        rows = [(PLACES + node, encode(place)) for node, place in places.items()]
        if news := [row for row in rows if self._table.get(row[0]) != row[1]]:
            self._table.write(news)
