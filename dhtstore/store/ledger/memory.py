"""A ledger that lives in memory: for simulation, ten thousand in one process."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, above_all


class MemoryKeyValue:
    """A KeyValue whose durability ends with the process."""

    __slots__ = ("_keys", "_lock", "_values")

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # sorted
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        with self._lock:
            start, end = self._span(prefix)
            if after is not None:
                start = max(start, bisect_right(self._keys, after))
            return [(key, self._values[key]) for key in self._keys[start : min(end, start + limit)]]

    def count(self, prefix: bytes) -> int:
        with self._lock:
            start, end = self._span(prefix)
            return end - start

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        new, gone = list(puts), list(deletes)
        with self._lock:
            for key, value in new:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
            for key in gone:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]

    def close(self) -> None:
        """Nothing is held open."""

    def _span(self, prefix: bytes) -> tuple[int, int]:
        above = above_all(prefix)
        end = len(self._keys) if above is None else bisect_left(self._keys, above)
        return bisect_left(self._keys, prefix), end
