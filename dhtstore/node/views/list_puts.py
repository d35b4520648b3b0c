"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dhtstore.model.cid import spelled
from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Rows
from dhtstore.store.ledger.puts import ListedPut

ROWS_AT_ONCE: Final = 1024


async def put_summaries(disk: Disk, ledger: Ledger, rows: Rows) -> None:
    """Hand ``rows`` what was put, oldest first."""
    run = disk.blocking.run
    pages = ledger.puts.listed(ROWS_AT_ONCE)
    while (found := await run(_next_page, pages)) is not None:
        await rows(found)


def _next_page(pages: Iterator[Sequence[ListedPut]]) -> list[PutSummary] | None:
    """None after the last."""
    page = next(pages, None)
    if page is None:
        return None
    texts = spelled([put.cid for put in page])
    return [_row(put, cid) for put, cid in zip(page, texts, strict=True)]


def _row(put: ListedPut, cid: str) -> PutSummary:
    return PutSummary(
        name=put.name,
        cid=cid,
        size=put.size_bytes,
        created=Moment.at(put.created_unix_s),
        copies=put.tally.copies,
        replicas=put.replicas,
        expires=Moment.at_or_never(put.expires),
        proved=Moment.at_or_never(put.tally.proved_unix_s),
    )
