"""The newest policy of an owner for a root, as far as this node and the network know it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from dhtstore.dht.engine.policies.policies import StoredPolicy
from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Policy, policy_place
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.identity import Identity
from dhtstore.params import LOOKUP_TIMEOUT_S


class PolicyPlaces(Protocol):
    """As much of the DHT as policies need."""

    async def store(self, policy: Policy, timeout_s: float) -> StoredPolicy: ...

    async def find(self, key: DhtKey, timeout_s: float) -> Policy | None: ...


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """``removed`` is told when claims here were ended by their owner's word."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    places: PolicyPlaces
    clock: Clock
    removed: Callable[[], Awaitable[None]]

    def here(self, owner: bytes, root: bytes) -> Policy | None:
        """As this node knows it; in a worker."""
        put = self.ledger.puts.get(Cid(root)) if owner == self.identity.owner else None
        known = [self.ledger.claims.policy(owner, root), put.policy if put else None]
        return max((each for each in known if each), key=_precedence, default=None)

    async def newest(self, owner: bytes, root: bytes) -> Policy | None:
        """As anybody who answers knows it; from then on it counts here, too.  Raises
        Unreachable."""
        found = await self.places.find(policy_place(owner, root), LOOKUP_TIMEOUT_S)
        if found is not None:
            await self.adopt(found)
        known = await self.disk.blocking.run(self.here, owner, root)
        either = [each for each in (found, known) if each is not None]
        return max(either, key=_precedence, default=None)

    async def known(self, root: Cid) -> Policy | None:
        """The newest of this node's owner; where nobody answers, as it is known here."""
        owner = self.identity.owner
        try:
            return await self.newest(owner, root.raw)
        except Unreachable:
            return await self.disk.blocking.run(self.here, owner, root.raw)

    async def adopt(self, policy: Policy) -> bool:
        """Put one whose signature was checked in force here, if something is here under it; whether
        it is news."""
        news = await self.disk.blocking.run(self.ledger.claims.update, policy)
        if news and policy.removed:
            await self.removed()
        return news

    def signed(
        self, root: Cid, seen: Policy | None, *, replicas: int, expires: int, removed: bool = False
    ) -> Policy:
        """A newer one than ``seen`` and than any of this owner's that was signed by now."""
        sequence = int(self.clock.unix_s() * 1000)
        return self.identity.sign_as_owner(
            Policy(
                owner=self.identity.owner,
                root=root.raw,
                sequence=max(sequence, seen.sequence + 1 if seen else 0),
                replicas=replicas,
                expires=expires,
                removed=removed,
            )
        )


def _precedence(policy: Policy) -> tuple[int, bool, bytes]:
    return policy.precedence
