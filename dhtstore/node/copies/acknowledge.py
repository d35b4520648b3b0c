"""Sign for a copy: the only place where receipts and our own provider records are made.

Call it only after the unit was walked from its roots and every block found present, verified
and fsynced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.params import PROTOCOL_VERSION

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class Totals:
    """What a walk of a unit counted: content bytes and distinct blocks."""

    size_bytes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Copy:
    """One verified copy: the receipt, and what makes it findable."""

    receipt: Receipt
    provider: ProviderRecord
    contact: ContactRecord


async def acknowledge(node: Node, unit: Unit, policy: Policy, totals: Totals) -> Copy:
    """Keep the claim, durably, then sign the receipt and the provider record."""
    claim = Claim(
        unit=unit.name,
        unit_roots=tuple(root.raw for root in unit.roots),
        spine=unit.spine,
        size_bytes=totals.size_bytes,
        blocks=totals.blocks,
        policy=policy,
    )
    await node.ports.blocking.run(node.claims.put, claim)
    return Copy(
        _receipt(node, unit, policy, totals),
        node.identity.provider_record(unit.key),
        node.identity.record(),
    )


def _receipt(node: Node, unit: Unit, policy: Policy, totals: Totals) -> Receipt:
    unsigned = Receipt(
        version=PROTOCOL_VERSION,
        network=node.settings.network.name,
        node=node.node_id,
        public_key=node.public_key,
        unit=unit.name,
        root=policy.root,
        size=totals.size_bytes,
        blocks=totals.blocks,
        owner=policy.owner,
        policy_seq=policy.sequence,
        time=int(node.ports.clock.unix_s()),
        expires=policy.expires,
    )
    return node.identity.sign(unsigned)
