"""Claims that are over end; never by one look at a clock, which may be set wrong.

data path: claims that expired -> noted when first found -> others are asked for a newer policy
(``policies/renewing``) -> found again after a day of running -> ended.  A look that finds a claim
not over, since it was renewed or the clock set back, forgets the note.  What its owner removed has
signed proof and ends at once, all that was removed in one look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from dhtstore.model.policy import Claim, Policy
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Blocking, Clock
from dhtstore.node.context import Ledger
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.keeping.ending.running import RunTime
from dhtstore.params import (
    CLAIM_GRACE_S,
    CLAIM_LOOKS_APART_S,
    CLOCK_DOUBTED_MAX_S,
    CLOCK_UNSET_UNIX_S,
)
from dhtstore.store.ledger.charging.over import OverNotes, OverRow

_AT_ONCE: Final = 64
Rest = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Overdue:
    """``ahead_s`` is how far the clock is ahead of the peers', as ``PeerClocks`` has it: while that
    is more than the grace, or the clock was set by as much less than CLAIM_LOOKS_APART_S of running
    ago, nothing that expired ends, for CLOCK_DOUBTED_MAX_S of running at most.  So peers can put an
    end off, neither forge one nor put it off for ever.  Where ``asks``, what nobody was asked about
    waits as long: its owner may have given it more time.  ``ended`` is told of the units of what
    ends."""

    ledger: Ledger
    blocking: Blocking
    clock: Clock
    running: RunTime
    ahead_s: Callable[[], float | None] = lambda: None
    asks: bool = False
    ended: Callable[[list[Unit]], None] = lambda units: None

    async def end(self, rest: Rest) -> int:
        """How many were ended; those that are over for the first time are noted.  Raises NoRoom,
        HomeUnusable."""
        look, units = self.look(), list[Unit]()
        try:
            ended = await self._each(look, partial(_settle, look, units), rest)
        finally:
            self.ended(units)
        rows = look.notes.rows()
        while some := await self.blocking.run(_some_rows, rows):
            await self.blocking.run(look.forget, some)
            await rest()
        return ended

    async def count(self, rest: Rest) -> int:
        """How many ``end`` would end."""
        look = self.look()
        return await self._each(look, lambda claim: look.ends(look.newest(claim.policy)), rest)

    def look(self) -> OverdueLook:
        """With the clock as it stands."""
        running_s, ahead_s = self.running.total_s(), self.ahead_s()
        lately_set = 0 < self.running.set_s > running_s - CLAIM_LOOKS_APART_S
        doubted = lately_set or (ahead_s is not None and ahead_s > CLAIM_GRACE_S)
        notes, unix_s = OverNotes(self.ledger.table), self.clock.unix_s()
        return OverdueLook(self.ledger, notes, unix_s, running_s, doubted, self.asks)

    async def _each(self, look: OverdueLook, does: Callable[[Claim], bool], rest: Rest) -> int:
        lapsed, count = self.ledger.claims.lapsed(look.since_unix_s), 0
        while some := await self.blocking.run(_some, lapsed):
            count += await self.blocking.run(partial(_how_many, does, some))
            await rest()
        return count


@dataclass(frozen=True, slots=True)
class OverdueLook:
    """One look at what is over; all of it in workers."""

    ledger: Ledger
    notes: OverNotes
    unix_s: float
    running_s: float
    doubted: bool
    asks: bool

    @property
    def since_unix_s(self) -> float:
        return self.unix_s - CLAIM_GRACE_S

    def newest(self, policy: Policy) -> Policy:
        return self.ledger.claims.policy(policy.owner, policy.root) or policy

    def ends(self, policy: Policy) -> bool:
        """Whether claims under it, the newest of its owner and root, end now."""
        if policy.removed or policy.active(self.since_unix_s):
            return policy.removed
        found = self.notes.found(policy, self.running_s)
        if found is None:
            return False
        doubted = self.doubted or (self.asks and not found.asked)
        least_s = CLOCK_DOUBTED_MAX_S if doubted else CLAIM_LOOKS_APART_S
        return self.running_s - found.found_s >= least_s

    def settle(self, claim: Claim) -> bool:
        """End it if its time has come, else note it once.  Raises NoRoom, HomeUnusable."""
        policy = self.newest(claim.policy)
        if self.ends(policy):
            return self.ledger.claims.end_lapsed(claim, self.since_unix_s)
        over = not policy.active(self.since_unix_s)
        if over and self.notes.found(policy, self.running_s) is None:
            self.notes.note(policy, self.running_s)
        return False

    def forget(self, rows: list[tuple[bytes, OverRow | None]]) -> None:
        """Notes of what is over no more, and of what has ended."""
        self.notes.drop([key for key, row in rows if row is None or not self._waits(row)])

    def _waits(self, row: OverRow) -> bool:
        """A clock that was not set since the machine was switched on says nothing."""
        policy = self.ledger.claims.policy(row.owner, row.root)
        if policy is None or policy.expires != row.expires or self.ends(policy):
            return False
        return self.unix_s < CLOCK_UNSET_UNIX_S or not policy.active(self.since_unix_s)


def _settle(look: OverdueLook, ended: list[Unit], claim: Claim) -> bool:
    over = look.settle(claim)
    if over:
        ended.append(unit_of_claim(claim))
    return over


def _how_many(does: Callable[[Claim], bool], claims: list[Claim]) -> int:
    return sum(does(claim) for claim in claims)


def _some(lapsed: Iterator[Claim]) -> list[Claim]:
    return list(islice(lapsed, _AT_ONCE))


def _some_rows(
    rows: Iterator[tuple[bytes, OverRow | None]],
) -> list[tuple[bytes, OverRow | None]]:
    return list(islice(rows, _AT_ONCE))
