"""Where a copy goes, each owner's claim on it goes, too.

A unit that two owners want, or one owner for two roots, is one copy on a disk, and copies are
counted, made and let go by units.  Would only the claim that wants most be carried on, the others
would hang on it: all copies would go with its removal.

data path: claims on the unit here -> who of the heirs signs that it keeps each of them -> those
that some lack are brought to them under their grants, for which no block moves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from operator import itemgetter
from typing import Final

from dhtstore.config import counted
from dhtstore.model.contact import Contact
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim
from dhtstore.node.checking.ask import HolderChecks, Question
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.duties.repairing.acting import Acting
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.store.ledger.health.holders import HolderRows

_SETTLED_MAX: Final = 256  # units in a round: a look at each takes some round trips
Lot = tuple[float, Watched]


def unsettled(units: Iterable[Watched]) -> list[Watched]:
    """Those of which there is something to ``settle``, as they were judged last."""
    enough = (one for one in units if one.row.short_since_unix_s is None)
    return [one for one in enough if any(r.away and not r.settled for r in one.row.holders)]


def drawn(before: Iterable[Lot], units: Iterable[Watched], rng: random.Random) -> list[Lot]:
    """So many as are settled in a round of those ``unsettled`` and of those drawn ``before``, by
    lot: some may be refused for ever, and would keep the others waiting."""
    lots = [*before, *((rng.random(), one) for one in unsettled(units))]
    return nsmallest(_SETTLED_MAX, lots, key=itemgetter(0))


@dataclass(frozen=True, slots=True)
class Heirs:
    """``checker`` makes one for each look."""

    acting: Acting
    checker: Callable[[], HolderChecks]
    rows: HolderRows
    notes: Notes

    async def lack(self, one: Watched, heirs: Sequence[PublicKey]) -> str:
        """Why not every claim on the unit here is kept by as many of ``heirs`` as it wants copies,
        or by all; "" if they are, by now.  Raises ConnectionLost when this node stops."""
        claims = await self.claims(one)
        whys = [await self._lack(replace(one, claim=each), heirs, one.claim) for each in claims]
        return next(filter(None, whys), "")  # what one lacks keeps none of the others back

    async def settle(self, lots: Iterable[Lot]) -> None:
        """A holder is gone for good, and those that are left are enough: they may keep it for
        others than that one did, and nobody makes a copy.  Raises as ``lack``, and NoRoom,
        HomeUnusable."""
        for _, one in lots:
            await self._settle(one)
            await self.notes.write(self.rows.save, {one.id: one.row})

    async def _settle(self, one: Watched) -> None:
        live = self.acting.judge.proved(one, 0.0, lasting=False)
        if not live or await self.lack(one, live):
            return  # again in the next round
        rows = (row._replace(settled=row.away) for row in one.row.holders)
        one.row = one.row._replace(holders=tuple(rows))

    async def claims(self, one: Watched) -> list[Claim]:
        """Those that stand on the unit here, the one by which it is watched first."""
        return await self.acting.disk.blocking.run(self._claims, one)

    def _claims(self, one: Watched) -> list[Claim]:
        """As ``claims``; in a worker."""
        now, watched = self.acting.identity.now_unix_s(), one.claim.policy
        found = [
            claim
            for claim in self.acting.ledger.claims.for_unit(one.unit.name)
            if claim.policy.active(now) and unit_of_claim(claim) == one.unit
        ]
        found.sort(key=lambda each: each.policy != watched)
        return found

    async def _lack(self, one: Watched, heirs: Sequence[PublicKey], watched: Claim) -> str:
        policy, contacts = one.claim.policy, self.acting.fellows.contacts(heirs)
        wanted = min(policy.replicas, len(heirs))
        keep = await self._keep(one, contacts)
        others = [each for each in contacts if each.public_key not in keep]
        missing = wanted - len(keep)
        if missing <= 0:
            return ""
        if not self.acting.may_bring(one):
            return "the leave of another of its owners to bring it to others is missing"
        plan = await self.acting.bring(one, others, missing)
        if plan.missing <= 0:
            return ""
        told = counted(wanted - plan.missing, "holder keeps", "holders keep")
        whose = "" if policy == watched.policy else " for another of its owners"
        why = [each.why for each in plan.candidates.values() if each.why]
        return f"{told} it{whose}, {wanted} are wanted: {'; '.join(why[-1:])}"

    async def _keep(self, one: Watched, heirs: Sequence[Contact]) -> set[PublicKey]:
        """Those that sign to keep the unit for this claim."""
        checker, fellows = self.checker(), self.acting.fellows
        told = {each.public_key: fellows.places(each) for each in heirs}
        await checker.check(Question(one.unit, list(told), policy=one.claim.policy), told)
        return {each.signer for each in checker.received}
