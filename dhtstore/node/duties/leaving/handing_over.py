"""What a node that leaves holds is brought to others, unit by unit.

data path: units with a claim -> who proves a copy now -> ``replication.repair.leaving`` -> copies
made from here under the grant -> receipts, the new holders' records -> only then the record of
this node is taken back and the claim here ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from dhtstore.model.identity import format_node, node_id
from dhtstore.node.copies.kept import Named
from dhtstore.node.duties.leaving.meter import LeaveMeter
from dhtstore.node.duties.repairing.repair import NO_MORE, Repair
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.keeping.staging import Staging
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.operations.operation import Watch
from dhtstore.params import LEAVES_AT_ONCE, LEAVES_SMALL_BYTES
from dhtstore.replication.repair.leaving import hand_over
from dhtstore.replication.repair.plan import Act, Choice
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.tasks import run_all

T = TypeVar("T")
_NAMES_AT_ONCE: Final = 64  # read from the ledger


@dataclass(frozen=True, slots=True)
class HandingOver:
    """Names in ``quiet`` are announced no more.  ``staging`` knows what the own user puts."""

    repair: Repair
    kept_no_more: KeptNoMore
    quiet: set[bytes]
    staging: Staging

    async def run(self, work: Callable[[], T]) -> T:
        """In a worker."""
        return await self.repair.acting.disk.blocking.run(work)

    def _pages(self) -> AsyncIterator[list[Watched]]:
        return self.repair.units.pages(at_least=1)

    async def hand_over_all(self, watch: Watch) -> list[UnitDone]:
        """What came of each.  Again until there is nothing new: the own user may have put something
        meanwhile, and what is being put is waited for, since this node ends after that."""
        meter, done = LeaveMeter(watch), list[UnitDone]()
        async for page in self._pages():
            meter.expect(one.claim.size_bytes for one in page)
        met: set[UnitId] = set()
        while True:
            before = len(met)
            async for page in self._pages():
                new = [one for one in page if one.id not in met]
                done += await self._hand_over_some(new, meter)
                met.update(one.id for one in new)
            if len(met) == before and not self.staging.at_work_for_user:
                return done
            if self.staging.at_work_for_user:
                meter.wait_for_puts()
                await self.staging.user_done()

    async def _hand_over_some(self, units: Sequence[Watched], meter: LeaveMeter) -> list[UnitDone]:
        """Small ones side by side, since what they take is lookups; of large ones, as of those of
        a put, holders reserve room for one at a time."""
        small = [one for one in units if one.claim.stored_bytes <= LEAVES_SMALL_BYTES]
        large = [one for one in units if one.claim.stored_bytes > LEAVES_SMALL_BYTES]
        done: list[UnitDone] = []
        for some, at_once in ((small, LEAVES_AT_ONCE), (large, 1)):
            done += await run_all([partial(self._hand_over, one, meter) for one in some], at_once)
        return done

    async def _hand_over(self, one: Watched, meter: LeaveMeter) -> UnitDone:
        """A unit, for all whose claims are here; it stays until others have enough."""
        done = await self._bring(one, meter)
        if done.act is Act.DROP:  # and both of it, whoever cancels this meanwhile
            shared = not done.one.stays and await self._shares_its_record(done.one)
            if not shared:
                self.quiet.add(one.unit.name)
            ending = self.kept_no_more.tasks.spawn(self._end(done.one, shared), "handed-over")
            await asyncio.shield(ending)
        meter.done(one.id, one.claim.size_bytes, moved=done.made > 0)
        return done

    async def _end(self, one: Watched, shared: bool) -> None:
        """Its record goes first: who is killed in between finds the claim, and does both again."""
        if not shared:
            await self.kept_no_more.withdraw([one.unit], kept=True)
        if not one.stays:
            await self.repair.acting.end(one)
        if shared:  # the last of them takes it back
            await self.kept_no_more.withdraw([one.unit])

    async def _shares_its_record(self, one: Watched) -> bool:
        """Whether another unit of that name is here, which has not been handed over."""
        completeness = self.repair.completeness
        here = await completeness.disk.blocking.run(completeness.under, one.unit.name, self._now())
        return any(each.spine is not one.unit.spine for each in here)

    async def _bring(self, one: Watched, meter: LeaveMeter) -> UnitDone:
        """Once more where something is otherwise by then: its owner has said something newer, or
        who had a copy went while more were made."""
        done = await self._brought(one, meter)
        if not done.outdated:
            return done
        again = await self._brought(one, meter)
        made, sent_bytes = done.made + again.made, done.sent_bytes + again.sent_bytes
        dropped = again.act is Act.DROP and made > 0
        return replace(again, made=made, sent_bytes=sent_bytes, dropped=dropped)

    async def _brought(self, one: Watched, meter: LeaveMeter) -> UnitDone:
        repair, since_unix_s = self.repair, self._now()
        await repair.asking.afresh(one)
        if not await repair.units.by_now(one, at_least=1):
            return UnitDone(one, Act.DROP, NO_MORE, 0)
        choice = self._choice(one, since_unix_s)
        if choice.act is Act.DROP:
            return await self._handed_on(one, choice, since_unix_s)
        if not repair.acting.may_bring(one):
            return _stays(one, choice, "its owner's leave to bring it to others is missing")
        if why := await repair.completeness.lack(one.unit):
            return _stays(one, choice, f"the copy here is not whole: {why}")
        progress = meter.copying(one.id, one.claim.size_bytes, choice.missing)
        brought = await repair.acting.repair(one, choice.missing, progress)
        await self._tell(one, [format_node(node_id(key)) for key in brought.holders], choice.why)
        # what else went over the same links meanwhile is no part of it
        sent_bytes = min(brought.sent_bytes, choice.missing * one.claim.stored_bytes)
        wanted, made = one.target, len(brought.holders)
        if not await repair.units.by_now(one, at_least=1):
            return UnitDone(one, Act.DROP, NO_MORE, 0, made, sent_bytes)
        choice = await self._choice_by_now(one, since_unix_s)
        if choice.act is not Act.DROP:
            stays = _stays(one, choice, brought.why, made, sent_bytes)
            if one.target > wanted:
                return replace(stays, outdated=True)
            await repair.told.refused(one, brought.why)
            return replace(stays, outdated=brought.outdated)
        return await self._handed_on(one, choice, since_unix_s, made, sent_bytes)

    async def _handed_on(
        self, one: Watched, choice: Choice, since_unix_s: float, made: int = 0, sent_bytes: int = 0
    ) -> UnitDone:
        """It may go, once those who have it keep it for all its owners."""
        proved = self.repair.judge.proved(one, since_unix_s, lasting=False)
        if why := await self.repair.heirs.lack(one, proved):
            return replace(_stays(one, choice, why, made, sent_bytes), outdated=made > 0)
        return UnitDone(one, choice.act, choice.why, choice.copies, made, sent_bytes, made > 0)

    async def _tell(self, one: Watched, nodes: Sequence[str], why: str) -> None:
        for node in nodes:
            size_bytes = one.claim.stored_bytes
            await self.repair.told.tell("moved", one, why, node=node, size_bytes=size_bytes)

    def _now(self) -> float:
        return self.repair.identity.now_unix_s()

    def _choice(self, one: Watched, since_unix_s: float) -> Choice:
        return hand_over(self.repair.judge.health(one), since_unix_s, self._now())

    async def _choice_by_now(self, one: Watched, since_unix_s: float) -> Choice:
        """After a copy that took long, others may be gone: they are asked again."""
        if self._now() - since_unix_s > self.repair.periods.proved_lately_s:
            since_unix_s = self._now()
            await self.repair.asking.afresh(one)
        return self._choice(one, since_unix_s)

    async def fall_silent(self) -> None:
        """Whatever is still here, as what was pinned by hand: nobody shall look for it here."""
        completeness, now_unix_s = self.repair.completeness, self._now()
        run = completeness.disk.blocking.run
        names = completeness.names_in_turn(now_unix_s)
        while some := await run(_some, names):
            for named in [each for each in some if each.name not in self.quiet]:
                self.quiet.add(named.name)
                units = await run(completeness.named, named, now_unix_s)
                await self.kept_no_more.withdraw(units, kept=True)


def _some(names: Iterator[Named]) -> list[Named]:
    return list(islice(names, _NAMES_AT_ONCE))


def _stays(one: Watched, choice: Choice, why: str, made: int = 0, sent_bytes: int = 0) -> UnitDone:
    return UnitDone(one, Act.NOTHING, f"{choice.why}; {why}", choice.copies, made, sent_bytes)
