"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Rows
from dhtstore.store.ledger.puts import ListedPut

ROWS_AT_ONCE: Final = 1024


async def put_summaries(disk: Disk, ledger: Ledger, rows: Rows) -> None:
    """Hand ``rows`` what was put, oldest first."""
    run = disk.blocking.run
    puts = await run(ledger.puts.listed)
    for at in range(0, len(puts), ROWS_AT_ONCE):
        await rows(await run(_rows, puts[at : at + ROWS_AT_ONCE]))


def _rows(puts: Sequence[ListedPut]) -> list[PutSummary]:
    return [_row(put) for put in puts]


def _row(put: ListedPut) -> PutSummary:
    return PutSummary(
        name=put.name,
        cid=str(put.cid),
        size=put.size_bytes,
        created=Moment.at(put.created_unix_s),
        copies=put.tally.copies,
        replicas=put.replicas,
        expires=Moment.at_or_never(put.expires),
    )
