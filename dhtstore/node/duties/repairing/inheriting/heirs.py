"""Where a copy goes, each owner's claim on it goes, too.

A unit that two owners want, or one owner for two roots, is one copy on a disk, and copies are
counted, made and let go by units.  Would only the claim that wants most be carried on, the others
would hang on it: all copies would go with its removal.

data path: claims on the unit here -> who of the heirs signs that it keeps each of them -> those
that some lack are brought to them under their grants, for which no block moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dhtstore.config import counted
from dhtstore.model.contact import Contact
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim
from dhtstore.node.checking.ask import HolderChecks, Question
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.duties.repairing.acting import Acting
from dhtstore.node.duties.repairing.watching import Watched


@dataclass(frozen=True, slots=True)
class Heirs:
    """``checker`` makes one for each look."""

    acting: Acting
    checker: Callable[[], HolderChecks]

    async def lack(self, one: Watched, heirs: Sequence[PublicKey]) -> str:
        """Why not every claim on the unit here is kept by as many of ``heirs`` as it wants copies,
        or by all; "" if they are, by now.  Raises ConnectionLost when this node stops."""
        run = self.acting.disk.blocking.run
        for claim in await run(self._claims, one):
            if why := await self._lack(replace(one, claim=claim), heirs):
                return why
        return ""

    def _claims(self, one: Watched) -> list[Claim]:
        """Those that stand, the one by which the unit is watched first; in a worker."""
        now, watched = self.acting.identity.now_unix_s(), one.claim.policy
        found = [
            claim
            for claim in self.acting.ledger.claims.for_unit(one.unit.name)
            if claim.policy.active(now) and unit_of_claim(claim) == one.unit
        ]
        found.sort(key=lambda each: each.policy != watched)
        return found

    async def _lack(self, one: Watched, heirs: Sequence[PublicKey]) -> str:
        policy, contacts = one.claim.policy, self._contacts(heirs)
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
        why = [each.why for each in plan.candidates.values() if each.why]
        return f"{told} it for another of its owners, {wanted} are wanted: {'; '.join(why[-1:])}"

    def _contacts(self, heirs: Sequence[PublicKey]) -> list[Contact]:
        places = [(key, self.acting.fellows.of(key).place) for key in heirs]
        return [Contact.of(key, place, storage=True) for key, place in places if place is not None]

    async def _keep(self, one: Watched, heirs: Sequence[Contact]) -> set[PublicKey]:
        """Those that sign to keep the unit for this claim."""
        checker, fellows = self.checker(), self.acting.fellows
        told = {each.public_key: fellows.places(each) for each in heirs}
        await checker.check(Question(one.unit, list(told), policy=one.claim.policy), told)
        return {each.signer for each in checker.received}
