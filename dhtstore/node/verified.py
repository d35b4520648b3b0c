"""verify: what it found, as it is told."""

from __future__ import annotations

from dhtstore.model.unit import unit_text
from dhtstore.node.flows.damage_places import DamagedPlace
from dhtstore.node.flows.verify import Verified
from dhtstore.operations.keeping import DamagePlace, IncompleteUnit, VerifyResult


def verify_result(found: Verified) -> VerifyResult:
    """CIDs as text."""
    units = [
        IncompleteUnit(unit_text(each.unit), [str(root) for root in each.roots], each.why)
        for each in found.units
    ]
    damaged = [str(cid) for cid in found.damaged]
    places = [_damage_place(each) for each in found.places]
    return VerifyResult(found.blocks, found.size_bytes, damaged, found.incomplete, units, places)


def _damage_place(place: DamagedPlace) -> DamagePlace:
    return DamagePlace(
        block=str(place.cid),
        root=str(place.root),
        kept_by=place.kept_by,
        name=place.name,
        path="/".join(place.path),
        owner=place.owner.hex() or None,
        mend=f"dhtstore pin add {place.root}",
    )
