"""What this node keeps: units with an active claim, and those of pinned roots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.own_copy import local_units

if TYPE_CHECKING:
    from dhtstore.node.node import Node


def kept_units(node: Node) -> list[Unit]:
    """Each unit once, claimed ones first.

    A pinned root whose blocks are gone or damaged is passed over, and the trace says so:
    ``dhtstore verify`` finds it.
    """
    claims = node.claims.units_kept(node.ports.clock.unix_s())
    units = {claim.unit: unit_of_claim(claim) for claim in claims}
    for pin in node.pins.list():
        try:
            units |= {
                u.name: u for u in local_units(node.ports.store, pin.cid) if u.name not in units
            }
        except (BlockMissing, IntegrityFailure) as error:
            node.ports.tracer("pin.damaged", root=str(pin.cid), error=str(error))
    return list(units.values())


def unit_of_claim(claim: Claim) -> Unit:
    """The unit a claim names; ``Unit.of`` gives it the name it had."""
    roots = tuple(Cid(raw) for raw in claim.unit_roots)
    return Unit.of(roots, claim.size_bytes, spine=claim.spine)
