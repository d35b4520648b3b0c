"""The contract of the table beside the blocks.  Synchronous and thread-safe, as that of blocks.
tests/conformance holds every implementation to what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class KeyValue(Protocol):
    """A small ordered, durable table beside the blocks: pins, claims, puts, receipts, peers."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All pairs whose key starts with ``prefix``, in key order."""

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        """Apply all or nothing; durable when it returns."""

    def close(self) -> None: ...
