"""What this node keeps: units with an active claim, and those of pinned roots."""

from __future__ import annotations

from collections.abc import Iterator

from dhtstore.content.dag.local import local_units
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.context import Ledger
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.trace import Tracer


def kept_units(store: BlockStore, ledger: Ledger, now_unix_s: float, tracer: Tracer) -> list[Unit]:
    """Each unit once, claimed ones first.

    What is damaged is passed over, and the trace says so: a row of the ledger, and a pinned
    root whose blocks are gone or damaged, which ``dhtstore verify`` finds.
    """
    units = {unit.name: unit for unit in _claimed(ledger, now_unix_s, tracer)}
    for root in _pinned(ledger, tracer):
        try:
            units |= {
                unit.name: unit for unit in local_units(store, root) if unit.name not in units
            }
        except (BlockMissing, IntegrityFailure) as error:
            tracer("pin.damaged", root=str(root), error=str(error))
    return list(units.values())


def _claimed(ledger: Ledger, now_unix_s: float, tracer: Tracer) -> Iterator[Unit]:
    for claim in ledger.claims.units_kept(now_unix_s):
        unit = unit_of_claim(claim)
        if unit.name == claim.unit:
            yield unit
        else:
            tracer("claim.damaged", unit=claim.unit.hex())


def _pinned(ledger: Ledger, tracer: Tracer) -> list[Cid]:
    try:
        return [pin.cid for pin in ledger.pins.list()]
    except IntegrityFailure as error:
        tracer("pins.damaged", error=str(error))
        return []


def unit_of_claim(claim: Claim) -> Unit:
    """The unit a claim names; ``Unit.of`` gives it the name it had, unless the claim rotted."""
    roots = tuple(Cid(raw) for raw in claim.unit_roots)
    return Unit.of(roots, claim.size_bytes, spine=claim.spine)
