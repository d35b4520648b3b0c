"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections import Counter

from dhtstore.node.context import Disk, Ledger
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.store.ledger.puts import PutRecord


async def put_summaries(disk: Disk, ledger: Ledger) -> list[PutSummary]:
    """Oldest first."""
    return await disk.blocking.run(_rows, ledger)


def _rows(ledger: Ledger) -> list[PutSummary]:
    return [_row(ledger, record) for record in ledger.puts.list()]


def _row(ledger: Ledger, record: PutRecord) -> PutSummary:
    receipts = ledger.receipts.for_root(record.cid)
    per_unit = Counter(receipt.unit for receipt in receipts)
    complete = len(per_unit) >= record.units
    return PutSummary(
        name=record.name,
        cid=str(record.cid),
        size=record.size_bytes,
        created=Moment.at(record.created_unix_s),
        copies=min(per_unit.values()) if complete and per_unit else 0,
        replicas=record.policy.replicas,
        expires=Moment.at_or_never(record.policy.expires),
    )
