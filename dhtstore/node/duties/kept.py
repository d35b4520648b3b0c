"""What this node keeps: units with an active claim, and those of pinned roots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.copies.own_copy import local_units

if TYPE_CHECKING:
    from dhtstore.node.node import Node


def kept_units(node: Node) -> list[Unit]:
    """Each unit once, claimed ones first.

    What is damaged is passed over, and the trace says so: a row of the ledger, and a pinned
    root whose blocks are gone or damaged, which ``dhtstore verify`` finds.
    """
    units = {unit.name: unit for unit in _claimed(node)}
    for root in _pinned(node):
        try:
            units |= {u.name: u for u in local_units(node.ports.store, root) if u.name not in units}
        except (BlockMissing, IntegrityFailure) as error:
            node.ports.tracer("pin.damaged", root=str(root), error=str(error))
    return list(units.values())


def _claimed(node: Node) -> Iterator[Unit]:
    for claim in node.claims.units_kept(node.ports.clock.unix_s()):
        unit = unit_of_claim(claim)
        if unit.name == claim.unit:
            yield unit
        else:
            node.ports.tracer("claim.damaged", unit=claim.unit.hex())


def _pinned(node: Node) -> list[Cid]:
    try:
        return [pin.cid for pin in node.pins.list()]
    except IntegrityFailure as error:
        node.ports.tracer("pins.damaged", error=str(error))
        return []


def unit_of_claim(claim: Claim) -> Unit:
    """The unit a claim names; ``Unit.of`` gives it the name it had, unless the claim rotted."""
    roots = tuple(Cid(raw) for raw in claim.unit_roots)
    return Unit.of(roots, claim.size_bytes, spine=claim.spine)
