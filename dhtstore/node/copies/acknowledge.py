"""Sign for a copy, and believe what others signed.

This is the only place where receipts and our own provider records are made.  Call ``acknowledge``
only after the unit was walked from its roots and every block found present, verified and
fsynced; ``receipt_again`` of what was so signed for, and was found whole since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.config import format_clock
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.dht.core.record_rules import contact_form, in_time, provider_form
from dhtstore.errors import ClockOff, InvalidSignature
from dhtstore.model.cid import Cid
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey, dht_key, node_id
from dhtstore.model.policy import Claim, Grant, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.identity import Identity
from dhtstore.params import (
    CONTACT_RECORD_TTL_S,
    HOLDER_BEHIND_MAX_S,
    PROVIDER_TTL_S,
    RECEIPT_VERSION,
    RECORD_FUTURE_SKEW_MAX_S,
    UNIT_SEEN_MAX,
    UNIT_SIZE_MAX_BYTES,
    UNIT_SLACK_BYTES,
    UNIT_STORED_MAX_BYTES,
    UNIT_WANTS_MAX,
)
from dhtstore.store.ledger.claims import Claims


@dataclass(frozen=True, slots=True)
class SignedCopy:
    """One verified copy: the receipt, and what makes it findable."""

    receipt: Receipt
    provider: ProviderRecord
    contact: ContactRecord


@dataclass(frozen=True, slots=True)
class Coming:
    """Blocks that ``commit`` makes durable and readable.  ``begun_unix_s`` is when they came, from
    which on their owner counts as known here; None for this node's own."""

    commit: Callable[[], None]
    begun_unix_s: float | None


def claim_on(walk: UnitWalk, policy: Policy, origin: str = "", grant: Grant | None = None) -> Claim:
    """A claim on the unit that was walked to its end."""
    unit = walk.unit
    return Claim(
        unit=unit.name,
        unit_roots=tuple(root.raw for root in unit.roots),
        spine=unit.spine,
        size_bytes=walk.size_bytes,
        blocks=walk.blocks,
        policy=policy,
        stored_bytes=walk.stored_bytes,
        origin=origin,
        grant=grant,
    )


async def acknowledge(
    identity: Identity,
    disk: Disk,
    ledger: Ledger,
    claim: Claim,
    coming: Coming | None = None,
) -> SignedCopy:
    """Keep the claim, durably, then sign the receipt and the provider record.

    ``coming`` are its blocks where they are not here yet.  Raises what committing them raises, and
    nothing is kept then.
    """
    if coming is None:
        await disk.blocking.run(ledger.claims.put, claim)
    else:
        await disk.blocking.run(_keep, ledger.claims, claim, coming)
    await disk.blocking.run(ledger.cache.kept, Cid(claim.policy.root))
    provider = identity.provider_record(dht_key(claim.unit))
    return SignedCopy(identity.receipt(claim), provider, identity.record())


def receipt_again(
    identity: Identity, claims: Claims, owner: bytes, root: bytes, unit: bytes
) -> Receipt | None:
    """Under the policy that is in force by now, for an owner who asks, of a unit that was just
    found whole; None where no claim of that owner keeps it for the root.  In a worker."""
    now_unix_s = identity.now_unix_s()
    owned = claims.owned(owner, root, [unit])
    claim = next((each for each in owned if each.policy.active(now_unix_s)), None)
    return None if claim is None else identity.receipt(claim)


def _keep(claims: Claims, claim: Claim, coming: Coming) -> None:
    """Never is there a block here without anybody who is charged for it: what a crash leaves in
    between is settled at the next start (``settle_pending``)."""
    claims.begin(claim, coming.begun_unix_s)
    try:
        coming.commit()
    except BaseException:
        claims.drop_pending(claim)
        raise
    claims.put(claim)


def check_copy(identity: Identity, copy: SignedCopy, holder: PublicKey, claim: Claim) -> None:
    """Raise InvalidSignature unless ``holder`` signed for what ``claim`` states, as we walked it
    ourselves, and ClockOff where index nodes would not keep its record, or not until it is
    renewed."""
    receipt, provider, policy = copy.receipt, copy.provider, claim.policy
    identity.check(receipt)
    identity.check(provider)
    identity.check(copy.contact)
    right = (
        receipt.public_key == provider.public_key == copy.contact.public_key == holder
        and receipt.node == node_id(holder)
        and (receipt.version, receipt.network) == (RECEIPT_VERSION, identity.network.name)
        and (receipt.unit, receipt.root) == (claim.unit, policy.root)
        and (receipt.owner, receipt.policy_seq) == (policy.owner, policy.sequence)
        and receipt.expires == policy.expires
        and _counts_agree(receipt, claim)
        and provider.key == dht_key(claim.unit)
        and provider_form(provider)
        and contact_form(copy.contact)
    )
    if not right:
        raise InvalidSignature("the holder sent a receipt for something else")
    for signed_unix_s in (provider.issued, receipt.time):
        check_clock(signed_unix_s, identity.now_unix_s())
    if not in_time(provider, PROVIDER_TTL_S, identity.now_unix_s()):
        raise ClockOff("its provider record is out of time")
    if not in_time(copy.contact, CONTACT_RECORD_TTL_S, identity.now_unix_s()):
        raise ClockOff("its contact record is out of time")


def check_receipt(
    identity: Identity, receipt: Receipt, holder: PublicKey, unit: bytes, policy: Policy
) -> None:
    """Raise InvalidSignature unless ``holder`` signed just now that it has ``unit`` for our owner,
    under ``policy`` or an earlier one: of a later one that is not known here it may say anything;
    ClockOff where its clock is off."""
    identity.check(receipt)
    right = (
        receipt.public_key == holder
        and receipt.node == node_id(holder)
        and (receipt.version, receipt.network) == (RECEIPT_VERSION, identity.network.name)
        and (receipt.unit, receipt.root) == (unit, policy.root)
        and receipt.owner == policy.owner
        and 0 <= receipt.policy_seq <= policy.sequence
    )
    if not right:
        raise InvalidSignature("the holder sent a receipt for something else")
    check_clock(receipt.time, identity.now_unix_s())


def _counts_agree(receipt: Receipt, claim: Claim) -> bool:
    """Walks count again what repeats beyond the blocks that they remember, each in its order."""
    if claim.blocks < UNIT_SEEN_MAX:
        said = (receipt.size, receipt.blocks, receipt.stored)
        return said == (claim.size_bytes, claim.blocks, claim.stored_bytes)
    right_size = 0 <= receipt.size <= UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES
    right_size &= 0 < receipt.stored <= UNIT_STORED_MAX_BYTES
    return right_size and UNIT_SEEN_MAX <= receipt.blocks <= UNIT_WANTS_MAX


def check_clock(signed_unix_s: int, now_unix_s: int) -> None:
    """Raises ClockOff where what was signed just now is of another time."""
    ahead_s = signed_unix_s - now_unix_s
    if not -HOLDER_BEHIND_MAX_S <= ahead_s <= RECORD_FUTURE_SKEW_MAX_S:
        raise ClockOff(f"its clock is {format_clock(ahead_s)}")
