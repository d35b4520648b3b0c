"""What became of a unit that was placed, and of each node that was asked to hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dhtstore.model.identity import NodeId, format_node
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import SignedCopy
from dhtstore.replication.placement import Placement
from dhtstore.replication.ranking import Stage


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What became of one unit at a node that was asked, or at this one if it holds it.

    ``why`` tells why there is no copy; ``copied_bytes`` is what the node has said to have of the
    unit; ``receipt`` is its word for the whole of it.
    """

    unit: bytes  # Unit.name
    node: NodeId
    stage: Stage
    why: str = ""
    copied_bytes: int = 0
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class PlacedUnit:
    """What became of one unit: ``announced`` once an index node took its provider records."""

    unit: Unit
    plan: Placement
    copies: Sequence[SignedCopy]
    announced: bool

    @property
    def causes(self) -> dict[str, str]:
        """Node -> why it holds no copy."""
        return {format_node(c.node): c.why for c in self.plan.candidates.values() if c.why}

    def reports(self) -> list[CopyReport]:
        name = self.unit.name
        receipts = {copy.receipt.node_id: copy.receipt for copy in self.copies}
        own = receipts.get(self.plan.here)
        here = [CopyReport(name, self.plan.here, Stage.HELD, receipt=own)] if own else []
        return here + [
            CopyReport(name, c.node, c.stage, c.why, c.copied_bytes, receipts.get(c.node))
            for c in self.plan.candidates.values()
            if c.stage is not Stage.FOUND
        ]
