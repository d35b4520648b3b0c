"""The owner's side: holders are told what it wants from now on, over links, all at once.

data path: units -> who announces them, and who signed for them -> links -> Rule -> Ruled.  Those
that cannot be reached are told later (``telling_later``), or find it in the DHT when they are back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import DhtstoreError, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import told_of
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.identity import Identity
from dhtstore.params import (
    CHECKS_AT_ONCE,
    DIAL_TIMEOUT_S,
    LOOKUP_TIMEOUT_S,
    OFFER_TIMEOUT_S,
    PROVIDERS_PER_KEY_MAX,
    RULE_UNITS_MAX,
)
from dhtstore.store.ledger.listing.tally import Proof
from dhtstore.tasks import run_all
from dhtstore.wire.frames import Rule, Ruled


@dataclass(slots=True)
class ToldHolders:
    """``told`` holders know it now; ``unreached`` do not, and why of each.  ``claims`` of this
    owner are under it at those told, ``others`` are those of other owners on the same units.
    ``newer`` is the newest that somebody knows above it; ``lacking`` are those told that keep
    nothing for this owner, and of which units."""

    told: set[PublicKey] = field(default_factory=set)
    unreached: dict[PublicKey, str] = field(default_factory=dict)
    claims: int = 0
    others: int = 0
    newer: Policy | None = None
    lacking: dict[PublicKey, list[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class KnownHolder:
    addresses: list[Address] = field(default_factory=list)
    units: list[bytes] = field(default_factory=list)


Holders = Mapping[PublicKey, KnownHolder]


@dataclass(frozen=True, slots=True)
class TellHolders:
    """Holders of a root, and telling them."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    reach: Reach

    async def tell(self, policy: Policy, holders: Holders) -> ToldHolders:
        """Tell all of them, at once."""
        told = ToldHolders()
        await run_all(
            [partial(self._one, told, policy, key, one) for key, one in holders.items()],
            limit=CHECKS_AT_ONCE,
        )
        return told

    async def holders(self, root: Cid, units: Sequence[Unit]) -> Holders:
        """Who holds one of ``units``, this node excepted: who signed for it, or announces it."""
        receipts = await self.disk.blocking.run(self.ledger.receipts.for_root, root)
        announced = await run_all([partial(self._announced, u) for u in units], CHECKS_AT_ONCE)
        holders: dict[PublicKey, KnownHolder] = {}
        for receipt in receipts:
            holders.setdefault(receipt.signer, KnownHolder()).units.append(receipt.unit)
        for unit, told in zip(units, announced, strict=True):
            for key, addresses in told.items():
                one = holders.setdefault(key, KnownHolder())
                one.addresses = one.addresses or list(addresses)
                one.units.append(unit.name)
        holders.pop(self.identity.public_key, None)
        return holders

    async def _announced(self, unit: Unit) -> Mapping[PublicKey, Sequence[Address]]:
        """Nobody where nobody answers: who signed is known all the same."""
        try:
            found = await self.reach.dht.find_providers(
                unit.key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=LOOKUP_TIMEOUT_S
            )
        except Unreachable:
            return {}
        return told_of(found.providers, self.reach)

    async def _one(
        self, told: ToldHolders, policy: Policy, key: PublicKey, holder: KnownHolder
    ) -> None:
        """In as many frames as its units take; without any it looks for them itself."""
        names = list(dict.fromkeys(holder.units))
        try:
            addresses = holder.addresses or await self._addresses(key)
            link = await self.reach.links.to(key, addresses, DIAL_TIMEOUT_S)
            for at in range(0, max(1, len(names)), RULE_UNITS_MAX):
                some = names[at : at + RULE_UNITS_MAX]
                rule = Rule(policy=policy.packed, units=tuple(some))
                ruled = await link.request(rule, Ruled, OFFER_TIMEOUT_S)
                if ruled.newer is not None and not self._outdone(told, policy, ruled.newer):
                    told.unreached[key] = "it knows a newer word of this owner"
                    return
                told.claims += ruled.claims
                told.others += ruled.others
                if not ruled.claims:
                    told.lacking.setdefault(key, []).extend(some)
            told.told.add(key)
        except DhtstoreError as error:
            told.unreached[key] = str(error)

    def _outdone(self, told: ToldHolders, policy: Policy, packed: bytes) -> bool:
        """A newer one is known there: whether that removes it, too.  Raises RemoteProtocolError,
        InvalidSignature."""
        newer = unpack(Policy, packed)
        self.identity.check(newer)
        if (newer.owner, newer.root) == (policy.owner, policy.root):
            told.newer = max(newer, told.newer or newer, key=lambda each: each.precedence)
        return newer.removed and policy.removed

    async def write_down(self, root: Cid, told: ToldHolders) -> None:
        """Who keeps nothing of what was put here.  Raises NoRoom, HomeUnusable."""
        proof = Proof(self.identity.now_unix_s(), "lacks", "it keeps it no more")
        lacking = told.lacking.items()
        found: dict[tuple[bytes, bytes], Proof] = {
            (unit, node_id(key)): proof for key, units in lacking for unit in units
        }
        put_here = await self.disk.blocking.run(self.ledger.puts.known, root)
        if found and put_here:
            await self.disk.blocking.run(self.ledger.receipts.prove, root, found)

    async def _addresses(self, key: PublicKey) -> list[Address]:
        """Where it last answered, else where the network says that it can be reached."""
        heard = self.reach.dht.address_of(node_id(key))
        if heard is not None:
            return [heard]
        record = await self.reach.dht.find_contact(node_id(key), timeout_s=LOOKUP_TIMEOUT_S)
        if record is None:
            raise Unreachable("nobody knows an address of it")
        return self.reach.links.followable(record.address_list())
