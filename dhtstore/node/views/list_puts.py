"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.store.ledger.puts import ListedPut


async def put_summaries(disk: Disk, ledger: Ledger) -> list[PutSummary]:
    """Oldest first."""
    return await disk.blocking.run(_rows, ledger)


def _rows(ledger: Ledger) -> list[PutSummary]:
    return [_row(put) for put in ledger.puts.listed()]


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
