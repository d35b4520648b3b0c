"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dhtstore.operations.keeping import PutSummary
from dhtstore.store.ledger.puts import PutRecord

if TYPE_CHECKING:
    from dhtstore.node.node import Node


async def list_puts(node: Node) -> list[PutSummary]:
    """Oldest first."""
    return await node.ports.blocking.run(_rows, node)


def _rows(node: Node) -> list[PutSummary]:
    return [_row(node, record) for record in node.puts.list()]


def _row(node: Node, record: PutRecord) -> PutSummary:
    receipts = node.receipts.for_root(record.cid)
    per_unit = Counter(receipt.unit for receipt in receipts)
    complete = len(per_unit) >= record.units
    return PutSummary(
        name=record.name,
        cid=str(record.cid),
        size=record.size_bytes,
        created=int(record.created_unix_s),
        copies=min(per_unit.values()) if complete and per_unit else 0,
        replicas=record.policy.replicas,
        expires=record.policy.expires,
    )
