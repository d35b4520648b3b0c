"""Policies stay in the network: whoever holds something under one stores it again now and then, and
learns so of a newer one.  Who was away looks all of them up before it says that it is back.

data path: policies in the ledger, one after the other over POLICY_REPUBLISH_S -> stored at the
nodes closest to each -> where one of those knows a newer, that counts from now on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

from dhtstore.dht.core.record_rules import policy_current, policy_over
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.node.policies.book import PolicyBook
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    POLICY_CATCH_UP_S,
    POLICY_LOOK_PAUSE_S,
    POLICY_MOMENT_S,
    POLICY_REPUBLISH_S,
    POLICY_STALE_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
    REPROVIDE_RETRY_FIRST_S,
    REPROVIDE_RETRY_MAX_S,
)
from dhtstore.store.ledger.charging.over import OverNotes
from dhtstore.store.ledger.tiers.looked import PoliciesLooked
from dhtstore.tasks import Alarm, Supervisor, run_all
from dhtstore.trace import Tracer

_AT_ONCE: Final = 16
_LONGEST_PAUSE_S: Final = POLICY_REPUBLISH_S / 4  # or many that came meanwhile would wait for it


@dataclass(slots=True)
class PolicyRenewal:
    """``joined`` is set once others may be asked.  ``tasks`` own what is published at once.  That
    others were asked about what is ``over`` is written down."""

    book: PolicyBook
    over: OverNotes
    looked: PoliciesLooked
    rng: random.Random
    tasks: Supervisor
    tracer: Tracer
    joined: asyncio.Event
    alarm: Alarm = field(default_factory=Alarm)
    _going_out: dict[asyncio.Task[Any], Policy] = field(default_factory=dict)

    def goes_out(self, policy: Policy, telling: Coroutine[Any, Any, object]) -> None:
        """While ``telling`` runs not all know it who should."""
        task = self.tasks.spawn(telling, "policy")
        self._going_out[task] = policy
        task.add_done_callback(lambda task: self._going_out.pop(task, None))

    async def settle(self, at_most_s: float) -> bool:
        """Wait until all that was published is stored and told, for whoever ends then; of what is
        not, the trace tells, and it is not waited for again.  Whether all is."""
        if self._going_out:
            await asyncio.wait(list(self._going_out), timeout=at_most_s)
        for root in dict.fromkeys(policy.root for policy in self._going_out.values()):
            self.tracer("policy.untold", root=str(Cid(root)))
        settled = not self._going_out
        self._going_out.clear()
        return settled

    async def publish(self, policy: Policy) -> None:
        """Our owner signed it: until somebody has it, or a newer one, which counts here then."""
        self.alarm.ring()
        pause_s = REPROVIDE_RETRY_FIRST_S
        while not await self.renew(policy):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, REPROVIDE_RETRY_MAX_S)

    async def run(self) -> None:
        """Forever: each once in POLICY_REPUBLISH_S."""
        await self.joined.wait()
        while True:
            policies = self.book.ledger.claims.policies()
            some = await self.book.disk.blocking.run(_some, policies)
            if not some:
                await self.alarm.rest(_LONGEST_PAUSE_S)
            while some:
                pause_s = await self._pause_s()
                for policy in some:
                    await self._rest(pause_s)
                    await self._renew_or_forget(policy)
                some = await self.book.disk.blocking.run(_some, policies)

    async def _pause_s(self) -> float:
        """Between two, as many as there are now."""
        count = await self.book.disk.blocking.run(self.book.ledger.claims.count_policies)
        return min(POLICY_REPUBLISH_S / max(1, count), _LONGEST_PAUSE_S)

    async def _rest(self, pause_s: float) -> None:
        jitter = self.rng.uniform(1 - REPROVIDE_JITTER, 1 + REPROVIDE_JITTER)
        await asyncio.sleep(max(REPROVIDE_PAUSE_S, pause_s * jitter))

    async def _renew_or_forget(self, policy: Policy) -> None:
        """What ended long ago goes.  Until then what ended before it once should is told as a
        removal is: whoever comes back without it would have all copies made again."""
        run, claims = self.book.disk.blocking.run, self.book.ledger.claims
        newest = await run(claims.policy, policy.owner, policy.root)
        if newest is None:
            return
        unix_s = self.book.clock.unix_s()
        if policy_over(newest, unix_s):
            await run(claims.forget_policy, newest)
        elif policy_current(newest, unix_s) or await run(claims.shortened, newest):
            if await self.renew(newest):
                await run(self.over.asked, newest)
        elif await run(self.over.waits, newest) and await self._look(newest):
            await run(self.over.asked, newest)

    async def renew(self, policy: Policy) -> bool:
        """Store it; whether somebody has it now, or a newer one, which then counts here."""
        try:
            stored = await self.book.places.store(policy, LOOKUP_TIMEOUT_S)
            if stored.outrun:
                await self.book.newest(policy.owner, policy.root)
        except DhtstoreError as error:
            self.tracer("policy.failed", error=str(error))
            return False
        return bool(stored.holders) or stored.outrun

    # --- after an absence -------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Look all of them up that are here, if this node was away; ends after POLICY_CATCH_UP_S
        with those left that are many: they are renewed in their turn.  After a short absence little
        can have changed: then others are kept waiting for nothing, and they are looked up beside
        all else, after a moment not at all."""
        looked_unix_s = await self.book.disk.blocking.run(self.looked.unix_s)
        away_s = self.book.clock.unix_s() - looked_unix_s
        if not 0 <= away_s < POLICY_STALE_S:
            await self.look_up()
        elif away_s >= POLICY_MOMENT_S:
            self.tasks.spawn(self._look_up_in_turn(), "policies")

    async def _look_up_in_turn(self) -> None:
        """One after another, within POLICY_STALE_S."""
        count = await self.book.disk.blocking.run(self.book.ledger.claims.count_policies)
        pause_s = min(POLICY_LOOK_PAUSE_S, POLICY_STALE_S / max(1, count))
        policies = self.book.ledger.claims.policies()
        while some := await self.book.disk.blocking.run(_some, policies):
            for policy in some:
                await self._rest(pause_s)
                await self._look(policy)

    async def look_up(self) -> None:
        """Each policy that is here, as the network knows it."""
        policies = self.book.ledger.claims.policies()
        try:
            async with asyncio.timeout(POLICY_CATCH_UP_S):
                while some := await self.book.disk.blocking.run(_some, policies):
                    await run_all([partial(self._look, each) for each in some], _AT_ONCE)
        except TimeoutError:
            self.tracer("policy.late", seconds=POLICY_CATCH_UP_S)

    async def _look(self, policy: Policy) -> bool:
        """Whether somebody answered."""
        try:
            await self.book.newest(policy.owner, policy.root)
        except DhtstoreError as error:
            self.tracer("policy.failed", error=str(error))
            return False
        return True

    def note(self, heard_s: float) -> None:
        """Who has looked is told of changes, as long as it hears others: somebody answered at
        ``heard_s``, in monotonic seconds.  In a worker.  Raises NoRoom, HomeUnusable."""
        clock = self.book.clock
        if self.joined.is_set() and clock.monotonic_s() - heard_s < POLICY_STALE_S:
            self.looked.note(clock.unix_s())


def _some(policies: Iterator[Policy]) -> Sequence[Policy]:
    return list(islice(policies, _AT_ONCE))
