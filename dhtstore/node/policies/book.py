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
    """``heard`` has what is here follow a policy that counts from now on."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    places: PolicyPlaces
    clock: Clock
    heard: Callable[[Policy], Awaitable[None]]

    def here(self, owner: bytes, root: bytes) -> Policy | None:
        """As this node knows it; in a worker."""
        put = self.ledger.puts.get(Cid(root)) if owner == self.identity.owner else None
        known = [self.ledger.claims.policy(owner, root), put.policy if put else None]
        return max((each for each in known if each), key=_precedence, default=None)

    async def newest_here(self, policy: Policy) -> Policy:
        """Of that owner and root; ``policy`` itself where none is known."""
        known = await self.disk.blocking.run(self.here, policy.owner, policy.root)
        return policy if known is None else known

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
        if news or policy.owner == self.identity.owner:  # what was put meanwhile may be older
            await self.heard(policy)
        return news

    async def write_down(self, policy: Policy) -> None:
        """Our owner has just signed it: it counts here, also where nothing is under it.  Raises
        NoRoom, HomeUnusable."""
        claims = self.ledger.claims
        await self.disk.blocking.run(lambda: claims.update(policy, anyway=True))
        await self.heard(policy)

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
