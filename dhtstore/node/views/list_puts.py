"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.operation import Rows

ROWS_AT_ONCE: Final = 1024


async def put_summaries(disk: Disk, ledger: Ledger, rows: Rows) -> str:
    """Hand ``rows`` what was put, oldest first; what is to be said of puts that cannot be read, ""
    if all can."""
    run = disk.blocking.run
    left = await run(ledger.puts.count)
    pages = ledger.puts.listed(ROWS_AT_ONCE)
    while (found := await run(_next_page, pages)) is not None:
        left -= len(found)
        await rows(list(found))
    return f"{left} of the puts here cannot be read: the ledger is damaged" if left > 0 else ""


def _next_page(pages: Iterator[Sequence[PutSummary]]) -> Sequence[PutSummary] | None:
    """None after the last."""
    return next(pages, None)
