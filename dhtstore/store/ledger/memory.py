"""A ledger that lives in memory: for simulation, ten thousand in one process."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable


class MemoryKeyValue:
    """A KeyValue whose durability ends with the process."""

    __slots__ = ("_keys", "_lock", "_values")

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] | None = None  # sorted; None when it must be made again
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        with self._lock:
            if self._keys is None:
                self._keys = sorted(self._values)
            found = []
            for index in range(bisect_left(self._keys, prefix), len(self._keys)):
                key = self._keys[index]
                if not key.startswith(prefix):
                    break
                found.append((key, self._values[key]))
            return found

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        new, gone = dict(puts), list(deletes)
        with self._lock:
            if gone or any(key not in self._values for key in new):
                self._keys = None
            self._values.update(new)
            for key in gone:
                self._values.pop(key, None)

    def close(self) -> None:
        """Nothing is held open."""
