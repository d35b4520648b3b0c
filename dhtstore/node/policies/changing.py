"""policy and rm: what this node's owner wants for a root is shown, changed or ended, everywhere.

data path: root -> the newest policy that is known here or in the network -> a newer one, signed ->
written down here -> told to the holders that can be reached, and later to those that could not be
-> stored in the DHT for the others.
A put of what is stored already ends the same way.  Whoever has the owner's key can do so, on
whichever machine the root was put.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhtstore.errors import DhtstoreError, NotFound, Unreachable, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.policies.book import PolicyBook
from dhtstore.node.policies.renewing import PolicyRenewal
from dhtstore.node.policies.telling import Holders, TellHolders, ToldHolders
from dhtstore.node.policies.telling_later import TellLater
from dhtstore.params import LOOKUP_TIMEOUT_S, REPLICAS_MAX

_UNITS_WITHIN_S: Final = 60.0  # to find out into which units a root is cut that was put elsewhere
_ONCE_MORE: Final = 3  # two machines that change it in one moment: one of them is first
FOREVER: Final = 0  # "expires" of what ends by its removal only


@dataclass(frozen=True, slots=True)
class Changed:
    """A policy that counts from now on, and who knows: ``stored`` tells that index nodes keep it
    for those that ``told`` did not reach."""

    policy: Policy
    told: ToldHolders
    stored: bool


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """``session`` fetches what tells which units a root has, where that is not known here."""

    book: PolicyBook
    renewal: PolicyRenewal
    later: TellLater

    @property
    def holders(self) -> TellHolders:
        return self.later.telling

    async def change(
        self, session: FetchSession, root: Cid, replicas: int | None, expires: int | None
    ) -> Changed:
        """Have so many copies, until then; None is as before.  Raises UsageError, NotFound."""
        seen = await self.book.known(root)
        if seen is None:
            raise unknown_policy(root)
        if seen.removed:
            raise removed_by_now(root)
        wanted = seen.replicas if replicas is None else replicas
        if not 1 <= wanted <= REPLICAS_MAX:
            raise UsageError(f"{wanted} replicas is outside 1 to {REPLICAS_MAX}")
        ends = seen.expires if expires is None else expires
        policy = self.book.signed(root, seen, replicas=wanted, expires=ends)
        holders = await self.holders.holders(root, await self.units(session, root))
        await self.book.write_down(policy)
        changed = await self.spread(policy, holders, seen)
        await self.holders.write_down(root, changed.told)
        return changed

    def put(self, policy: Policy, earlier: Policy | None, units: Sequence[Unit]) -> None:
        """A put signed it after ``earlier``: it goes out, and where that wanted something else also
        to those who hold copies under that."""
        self.renewal.goes_out(policy, self._publish_put(policy, units))
        if earlier is not None and not earlier.removed and _wants(earlier) != _wants(policy):
            self.renewal.goes_out(policy, self._tell_others(policy, units))

    async def _publish_put(self, policy: Policy, units: Sequence[Unit]) -> None:
        """What another machine of this owner said meanwhile could reach nobody who took a copy."""
        await self.renewal.publish(policy)
        newest = await self.book.newest_here(policy)
        if newest.precedence > policy.precedence:
            await self.later.tell(newest, await self.holders.holders(Cid(policy.root), units))

    async def _tell_others(self, policy: Policy, units: Sequence[Unit]) -> None:
        """Who signed under it knows it."""
        root = Cid(policy.root)
        receipts = await self.book.disk.blocking.run(self.book.ledger.receipts.for_root, root)
        know = {each.signer for each in receipts if each.policy_seq >= policy.sequence}
        holders = await self.holders.holders(root, units)
        await self.later.tell(policy, {k: one for k, one in holders.items() if k not in know})

    async def units(self, session: FetchSession, root: Cid) -> Sequence[Unit]:
        """What the root is cut into; none where nobody gives the blocks that tell."""
        known = await session.disk.blocking.run(self.book.ledger.roots.units, root)
        if known:
            return known
        try:
            async with asyncio.timeout(_UNITS_WITHIN_S):
                return await session.units(root)
        except (DhtstoreError, TimeoutError):
            return ()

    async def spread(self, policy: Policy, holders: Holders, seen: Policy | None) -> Changed:
        """Tell holders, and store it for those that are away; where they know a newer one, that
        another machine of this owner has signed, once more above that.  Raises UsageError where
        one that ``seen`` was not has removed what is to be changed."""
        changed = await self._spread(policy, holders, seen)
        for _ in range(_ONCE_MORE):
            newest = await self.book.newest_here(policy)
            if newest.precedence <= policy.precedence or (newest.removed and policy.removed):
                return changed
            policy = self._above(newest, policy)
            await self.book.write_down(policy)
            changed = await self._spread(policy, holders, newest)
        return changed

    def _above(self, newest: Policy, policy: Policy) -> Policy:
        """What ``policy`` says, signed anew."""
        root, wanted = Cid(policy.root), policy.replicas
        if newest.removed:
            raise removed_by_now(root)
        return self.book.signed(
            root, newest, replicas=wanted, expires=policy.expires, removed=policy.removed
        )

    async def _spread(self, policy: Policy, holders: Holders, seen: Policy | None) -> Changed:
        """What nobody waits for any more is told all the same: it counts here."""
        try:
            return await self._spread_now(policy, holders, seen)
        except asyncio.CancelledError:
            self.renewal.goes_out(policy, self._spread_later(policy, holders))
            raise

    async def _spread_later(self, policy: Policy, holders: Holders) -> None:
        await self._store_later(policy)
        await self.later.tell(await self.book.newest_here(policy), holders)

    async def _spread_now(self, policy: Policy, holders: Holders, seen: Policy | None) -> Changed:
        """What can be stored nowhere now is tried again until it can.  A removal is stored first,
        anything else last: a holder that ended its claims says so, or a look at what is stored
        tells that another machine removed it meanwhile."""
        stored = policy.removed and await self.renewal.renew(policy)
        told = await self.later.tell(policy, holders)
        if told.newer is not None:
            await self.book.adopt(told.newer)
        if not policy.removed:
            await self._heed_removal(policy, holders, seen)
            stored = await self.renewal.renew(policy)
        if not stored:
            self.renewal.goes_out(policy, self._store_later(policy))
        return Changed(policy, told, stored)

    async def _heed_removal(self, policy: Policy, holders: Holders, seen: Policy | None) -> None:
        """Another machine removed it since that was ``seen``, and signed a moment before: nothing
        is left to be changed, so that counts.  Raises UsageError then."""
        try:
            found = await self.book.places.find(policy.key, LOOKUP_TIMEOUT_S)
        except Unreachable:
            return
        if found is None or not found.removed or found.precedence > policy.precedence:
            return
        if seen is not None and found.precedence <= seen.precedence:
            return  # it was put again since
        root = Cid(policy.root)
        removal = self.book.signed(
            root, policy, replicas=policy.replicas, expires=FOREVER, removed=True
        )
        await self.book.write_down(removal)
        await self._spread(removal, holders, policy)
        raise removed_by_now(root)

    async def _store_later(self, policy: Policy) -> None:
        """Nobody answers now; once somebody does, holders may."""
        await self.renewal.publish(policy)
        self.later.hurry()


def removed_by_now(root: Cid) -> UsageError:
    """By this owner."""
    return UsageError(f"{root} was removed").hinted("put it again")


def unknown_policy(root: Cid) -> NotFound:
    """Of this owner."""
    return NotFound(f"nobody knows that this owner wants copies of {root}").hinted(
        "check the CID; of what another owner key put, only that can tell and change it: where it"
        " was put, or where the key is carried to (`dhtstore owner export`)"
    )


def _wants(policy: Policy) -> tuple[int, int]:
    return policy.replicas, policy.expires
