"""verify: what it found, as it is told."""

from __future__ import annotations

from dhtstore.model.unit import unit_text
from dhtstore.node.flows.verify import Verified
from dhtstore.node.scrubbing.damage_places import told_place
from dhtstore.operations.keeping import IncompleteUnit, VerifyResult


def verify_result(found: Verified) -> VerifyResult:
    """CIDs as text."""
    units = [
        IncompleteUnit(unit_text(each.unit), [str(root) for root in each.roots], each.why)
        for each in found.units
    ]
    damaged = [str(cid) for cid in found.damaged]
    places = [told_place(each) for each in found.places]
    counts = (found.blocks, found.size_bytes, damaged, found.incomplete)
    return VerifyResult(*counts, units, places, found.before, found.unwritten)
