"""The copy here is one too many and goes, if the others prove theirs in this very look.

Until it has gone, or is to stay, whoever asks about it is told to wait: a node that leaves at the
same moment counts what others prove to it, and would count on this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.node.duties.repairing.acting import Acting
from dhtstore.node.duties.repairing.asking import Asking
from dhtstore.node.duties.repairing.inheriting.heirs import Heirs
from dhtstore.node.duties.repairing.told import CopyNews, UnitDone
from dhtstore.node.duties.repairing.units import Units
from dhtstore.node.duties.repairing.watching import Judge, Watched
from dhtstore.node.identity import Identity
from dhtstore.replication.repair.plan import Act, Choice, may_drop


@dataclass(frozen=True, slots=True)
class LettingGo:
    """``going`` are the names of units that are looked at just now."""

    identity: Identity
    units: Units
    judge: Judge
    asking: Asking
    acting: Acting
    heirs: Heirs
    told: CopyNews
    going: set[bytes] = field(default_factory=set)

    async def look(self, one: Watched) -> UnitDone:
        """Let it go if it may.  Raises HomeUnusable."""
        self.going.add(one.unit.name)
        try:
            return await self._looked(one)
        finally:
            self.going.discard(one.unit.name)

    async def _looked(self, one: Watched) -> UnitDone:
        since_unix_s = self.identity.now_unix_s()
        await self.asking.afresh(one)
        await self.units.by_now(one)  # the own user may have put it here since
        choice = self.judge.judge(one, self.identity.now_unix_s())
        if choice.act is not Act.DROP:
            return UnitDone(one, Act.NOTHING, choice.why, choice.copies)
        if not may_drop(self.judge.health(one), self.identity.now_unix_s(), since_unix_s):
            return _stays(one, choice, "not all of them prove it")
        claims = await self.heirs.claims(one)
        if why := await self.heirs.lack(one, self.judge.proved(one, since_unix_s, lasting=True)):
            return _stays(one, choice, why)
        try:
            await self.acting.drop(one, claims)
        except (NoRoom, HomeUnusable) as error:
            return _stays(one, choice, str(error))
        await self.told.notes.write(self.units.rows.save, {}, [one.id])
        await self.told.tell("dropped", one, choice.why, size_bytes=one.claim.stored_bytes)
        return UnitDone(one, Act.DROP, choice.why, choice.copies, dropped=True)


def _stays(one: Watched, choice: Choice, why: str) -> UnitDone:
    return UnitDone(one, Act.NOTHING, f"{choice.why}; {why}", choice.copies)
