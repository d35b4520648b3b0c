"""The owner's side: who could not be told what it wants by now is told once it answers.

data path: holders of a root -> written down -> told -> those that know are forgotten -> the others
are told again, after waits that grow, until they know or have found out by themselves.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy
from dhtstore.node.policies.book import PolicyBook
from dhtstore.node.policies.telling import Holders, KnownHolder, TellHolders, ToldHolders
from dhtstore.node.traffic.retries import Retries
from dhtstore.params import (
    CHECKS_AT_ONCE,
    DAY_S,
    POLICY_UNTOLD_S,
    REPROVIDE_RETRY_FIRST_S,
    REPROVIDE_RETRY_MAX_S,
)
from dhtstore.store.ledger.tiers.untold import Untold
from dhtstore.tasks import Alarm, run_all


@dataclass(frozen=True, slots=True)
class TellLater:
    """What this node's own owner wants.  ``joined`` is set once others may be asked."""

    book: PolicyBook
    telling: TellHolders
    rows: Untold
    joined: asyncio.Event
    _retries: Retries = field(
        default_factory=lambda: Retries(REPROVIDE_RETRY_FIRST_S, REPROVIDE_RETRY_MAX_S)
    )
    _alarm: Alarm = field(default_factory=Alarm)

    async def tell(self, policy: Policy, holders: Holders) -> ToldHolders:
        """All of them now, and those that do not know it then later; a crash forgets none.  Where
        the disk is full they are told now all the same, which may free others.  Raises
        HomeUnusable."""
        run, root, told = self.book.disk.blocking.run, Cid(policy.root), ToldHolders()
        with suppress(NoRoom):  # who is not written down finds out in its own turn
            await run(self.rows.add, root, holders.keys(), self.book.clock.unix_s())
        try:
            told = await self.telling.tell(policy, holders)
        finally:
            for key in holders.keys() - told.told:
                self._failed(key)
        with suppress(NoRoom):  # they are told once more than they need
            await run(self.rows.drop, root, told.told)
        return told

    def hurry(self) -> None:
        """Others answer again."""
        self._retries.hurry(self._now_s())
        self._alarm.ring()

    async def run(self) -> None:
        """Forever."""
        await self.joined.wait()
        for key in await self.book.disk.blocking.run(self.rows.holders):
            self._retries.soon(key)
        while True:
            due = list(iter(lambda: self._retries.pop(self._now_s()), None))
            await run_all([partial(self._again, PublicKey(key)) for key in due], CHECKS_AT_ONCE)
            await self._alarm.rest(min(self._retries.wait_s(self._now_s()), DAY_S))

    async def _again(self, holder: PublicKey) -> None:
        """One holder, of all that it does not know."""
        run = self.book.disk.blocking.run
        for root, since_unix_s in await run(self.rows.of, holder):
            recent = self.book.clock.unix_s() - since_unix_s < POLICY_UNTOLD_S
            if recent and not await self._knows(holder, root):
                self._failed(holder)
                return
            await run(self.rows.drop, root, [holder])
        self._retries.done(holder)

    async def _knows(self, holder: PublicKey, root: Cid) -> bool:
        """Whether it knows the newest by now."""
        owner, run = self.book.identity.owner, self.book.disk.blocking.run
        policy = await run(self.book.here, owner, root.raw)
        if policy is None:
            return True  # it ended so long ago that nobody needs to be told
        told = await self.telling.tell(policy, {holder: KnownHolder()})
        if told.newer is not None:
            await self.book.adopt(told.newer)
        return holder in told.told and await self.book.newest_here(policy) == policy

    def _failed(self, holder: PublicKey) -> None:
        self._retries.failed(holder, self._now_s())
        self._alarm.ring()

    def _now_s(self) -> float:
        return self.book.clock.monotonic_s()
