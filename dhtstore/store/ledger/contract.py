"""The contract of the table beside the blocks.  Synchronous and thread-safe, as that of blocks.
tests/conformance holds every implementation to what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

LAYOUT_KEY: Final = b"layout"  # of the row that says which layout the others have
SCAN_PAGE_ROWS: Final = 64  # a claim on a run of many roots takes up to 400 KiB


class KeyValue(Protocol):
    """A small ordered, durable table beside the blocks: pins, claims, puts, receipts, peers."""

    def get(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        """The first ``limit`` pairs whose key starts with ``prefix``, in key order; with
        ``after``, of those above that key.  Others wait for one page at most."""

    def count(self, prefix: bytes) -> int:
        """How many keys start with ``prefix``."""

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        """Apply the puts, then the deletes, all or nothing; durable when it returns.

        Raises NoRoom or HomeUnusable."""

    def close(self) -> None:
        """Nothing may be asked of it afterwards."""


def scan_all(
    table: KeyValue, prefix: bytes, page_rows: int = SCAN_PAGE_ROWS
) -> Iterator[tuple[bytes, bytes]]:
    """Every pair whose key starts with ``prefix``, in key order, a page at a time.

    Writes between two pages count above the last key of the first and not below it; a pair that
    stands throughout is met once.
    """
    page = table.scan(prefix, limit=page_rows)
    while page:
        yield from page
        page = table.scan(prefix, after=page[-1][0], limit=page_rows)


def above_all(prefix: bytes) -> bytes | None:
    """The smallest key above every key with this prefix; None if there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None
