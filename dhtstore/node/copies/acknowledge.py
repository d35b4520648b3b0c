"""Sign for a copy, and believe what others signed.

``acknowledge`` is the only place where receipts and our own provider records are made.  Call it
only after the unit was walked from its roots and every block found present, verified and
fsynced.
"""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import InvalidSignature
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey, dht_key, node_id
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.identity import Identity
from dhtstore.params import RECEIPT_VERSION


@dataclass(frozen=True, slots=True)
class SignedCopy:
    """One verified copy: the receipt, and what makes it findable."""

    receipt: Receipt
    provider: ProviderRecord
    contact: ContactRecord


def claim_on(walk: UnitWalk, policy: Policy) -> Claim:
    """A claim on the unit that was walked to its end."""
    unit = walk.unit
    return Claim(
        unit=unit.name,
        unit_roots=tuple(root.raw for root in unit.roots),
        spine=unit.spine,
        size_bytes=walk.size_bytes,
        blocks=walk.blocks,
        policy=policy,
    )


async def acknowledge(identity: Identity, disk: Disk, ledger: Ledger, claim: Claim) -> SignedCopy:
    """Keep the claim, durably, then sign the receipt and the provider record."""
    await disk.blocking.run(ledger.claims.put, claim)
    provider = identity.provider_record(dht_key(claim.unit))
    return SignedCopy(identity.receipt(claim), provider, identity.record())


def check_copy(
    identity: Identity, copy: SignedCopy, holder: PublicKey, unit: Unit, policy: Policy
) -> None:
    """Raise InvalidSignature unless ``holder`` signed the copy for this unit, owner and policy."""
    receipt, provider = copy.receipt, copy.provider
    identity.check(receipt)
    identity.check(provider)
    identity.check(copy.contact)
    right = (
        receipt.public_key == provider.public_key == copy.contact.public_key == holder
        and receipt.node == node_id(holder)
        and (receipt.version, receipt.network) == (RECEIPT_VERSION, identity.network.name)
        and (receipt.unit, receipt.root) == (unit.name, policy.root)
        and (receipt.owner, receipt.policy_seq) == (policy.owner, policy.sequence)
        and receipt.expires == policy.expires
        and provider.key == unit.key
    )
    if not right:
        raise InvalidSignature("the holder sent a receipt for something else")
