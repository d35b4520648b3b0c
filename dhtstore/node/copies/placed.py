"""What became of a unit that was placed, and of each node that was asked to hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dhtstore.dht.core.record_rules import Published
from dhtstore.model.contact import Address, subnet
from dhtstore.model.identity import NodeId, format_node
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import SignedCopy
from dhtstore.node.telling.placement import CandidateRecord, PlacementRecord
from dhtstore.params import PASSED_OVER_TOLD_MAX
from dhtstore.replication.placement import Placement
from dhtstore.replication.ranking import Stage
from dhtstore.store.ledger.listing.places import HolderPlace

UNTOLD: Final = CandidateRecord()  # of this node, which takes no offer


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What became of one unit at a node that was asked, or at this one if it holds it.

    ``why`` tells why there is no copy, or why a copy is not found by its own record;
    ``copied_bytes`` is what the node has said to have of the unit; ``receipt`` is its word for
    the whole of it; ``code`` says which kind of refusal it was, ``told`` when all that was,
    ``reason`` why it was asked, or passed over.
    """

    unit: bytes  # Unit.name
    node: NodeId
    stage: Stage
    why: str = ""
    copied_bytes: int = 0
    receipt: Receipt | None = None
    code: str = ""
    told: CandidateRecord = field(default=UNTOLD, compare=False)
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PlacedUnit:
    """What became of one unit: ``published`` of the record of each of ``made``, one by one."""

    unit: Unit
    plan: Placement
    made: Sequence[SignedCopy]
    published: Sequence[Published]
    told: PlacementRecord | None = None

    @property
    def copies(self) -> list[SignedCopy]:
        """Those that count: one whose record is out of time for everybody, nobody finds."""
        pairs = zip(self.made, self.published, strict=True)
        return [copy for copy, published in pairs if not published.out_of_time]

    @property
    def places(self) -> list[Address]:
        """Where those are: at which address a holder was reached, and this node's own first."""
        met, made = self.plan.candidates, self.copies
        holders = [copy.receipt.node_id for copy in made]
        others = [met[holder].contact.address for holder in holders if holder in met]
        own = [copy.contact for copy in made if copy.receipt.node_id == self.plan.here]
        return [*(record.address_list()[0] for record in own), *others]

    def holder_places(self) -> dict[bytes, HolderPlace]:
        """On which network each holder was reached, and the label that it signed."""
        found: dict[bytes, HolderPlace] = {}
        for copy in self.copies:
            met = self.plan.candidates.get(copy.receipt.node_id)
            address = met.contact.address if met else copy.contact.address_list()[0]
            found[copy.receipt.node] = HolderPlace(subnet(address), copy.contact.domain)
        return found

    @property
    def announced(self) -> bool:
        """Whether somebody tells where a copy is."""
        return any(each.holders for each in self.published)

    @property
    def causes(self) -> dict[str, str]:
        """Node -> why it holds no copy, or why its own record does not lead to it."""
        return {format_node(report.node): report.why for report in self.reports() if report.why}

    def passed_over(self) -> list[CopyReport]:
        """Those that could have been asked, the best first."""
        found = self.plan.passed_over[:PASSED_OVER_TOLD_MAX]
        name = self.unit.name
        return [CopyReport(name, one.node, one.stage, reason=one.reason) for one in found]

    def reports(self) -> list[CopyReport]:
        """This node first, if it holds the unit."""
        asked = [c for c in self.plan.candidates.values() if c.stage is not Stage.FOUND]
        reports = [self._report(c.node, c.stage, c.why, c.copied_bytes, c.code) for c in asked]
        here = self.plan.here
        if any(copy.receipt.node_id == here for copy in self.made):
            reports.insert(0, self._report(here, Stage.HELD))
        return reports

    def _report(
        self, node: NodeId, stage: Stage, why: str = "", copied_bytes: int = 0, code: str = ""
    ) -> CopyReport:
        receipt = next((c.receipt for c in self.copies if c.receipt.node_id == node), None)
        if stage is Stage.HELD and receipt is None:
            stage = Stage.FAILED
        why = why or self._unfound().get(node, "")
        told = self.told.candidates.get(node, UNTOLD) if self.told else UNTOLD
        copied = copied_bytes, receipt, code, told, told.reason
        return CopyReport(self.unit.name, node, stage, why, *copied)

    def _unfound(self) -> dict[NodeId, str]:
        """Nodes whose record no index node holds, and what those said of it."""
        pairs = zip(self.made, self.published, strict=True)
        return {
            copy.receipt.node_id: f"no index node keeps its record: {published.why_not}"
            for copy, published in pairs
            if not published.holders and published.refusals
        }
