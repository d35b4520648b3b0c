"""list: what was put from here and how many copies gave their receipt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.store.ledger.puts import PutRecord

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class PutRow:
    """``copies`` is the smallest number of receipts over the units; ``created`` and ``expires``
    are unix seconds, ``expires`` 0 for "until removed"."""

    name: str
    cid: str
    size: int
    created: int
    copies: int
    replicas: int
    expires: int


async def list_puts(node: Node) -> list[PutRow]:
    """Oldest first."""
    return await node.ports.blocking.run(_rows, node)


def _rows(node: Node) -> list[PutRow]:
    return [_row(node, record) for record in node.puts.list()]


def _row(node: Node, record: PutRecord) -> PutRow:
    receipts = node.receipts.for_root(record.cid)
    per_unit = Counter(receipt.unit for receipt in receipts)
    complete = len(per_unit) >= record.units
    return PutRow(
        name=record.name,
        cid=str(record.cid),
        size=record.size_bytes,
        created=int(record.created_unix_s),
        copies=min(per_unit.values()) if complete and per_unit else 0,
        replicas=record.policy.replicas,
        expires=record.policy.expires,
    )
