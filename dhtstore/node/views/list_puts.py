"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.operation import Rows

ROWS_AT_ONCE: Final = 1024


async def put_summaries(disk: Disk, ledger: Ledger, rows: Rows) -> None:
    """Hand ``rows`` what was put, oldest first."""
    run = disk.blocking.run
    pages = ledger.puts.listed(ROWS_AT_ONCE)
    while (found := await run(_next_page, pages)) is not None:
        await rows(list(found))


def _next_page(pages: Iterator[Sequence[PutSummary]]) -> Sequence[PutSummary] | None:
    """None after the last."""
    return next(pages, None)
