"""What happened to copies: the last EVENTS_KEPT_MAX of it, for `events`."""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

from dhtstore.params import EVENTS_KEPT_MAX
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, sound
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"event/"
_NUMBER_BYTES: Final = 8


class EventRow(NamedTuple):
    """``kind`` is lost, repaired, moved, refused, dropped or removed; ``node`` whom it is about, ""
    for nobody; ``root`` the binary CID that the unit was stored for."""

    unix_s: float
    kind: str
    unit: bytes
    root: bytes
    why: str
    node: str = ""
    size_bytes: int = 0


class Events:
    """Rows by number, the oldest give way.  Thread-safe."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer
        self._lock = threading.Lock()
        self._next: int | None = None  # once somebody asked

    def add(self, row: EventRow) -> None:
        """Raises NoRoom, HomeUnusable."""
        with self._lock:
            number = self._number()
            gone = [_key(number - EVENTS_KEPT_MAX)] if number >= EVENTS_KEPT_MAX else []
            self._table.write([(_key(number), encode(row))], gone)
            self._next = number + 1

    def last(self, count: int) -> list[EventRow]:
        """The last of them, the oldest first; raises HomeUnusable."""
        found = [sound(_decoded, *pair, self._tracer) for pair in scan_all(self._table, _PREFIX)]
        return [row for row in found if row is not None][-count:]

    def _number(self) -> int:
        if self._next is None:
            keys = [key for key, _ in scan_all(self._table, _PREFIX)]
            last = int.from_bytes(keys[-1].removeprefix(_PREFIX), "big") if keys else -1
            self._next = last + 1
        return self._next


def _key(number: int) -> bytes:
    return _PREFIX + number.to_bytes(_NUMBER_BYTES, "big")


def _decoded(raw: bytes) -> EventRow:
    return decode(EventRow, raw)
