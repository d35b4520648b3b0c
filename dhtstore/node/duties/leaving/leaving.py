"""Leaving for good, without a copy too few at any moment.

data path: units with a claim -> who proves a copy now -> ``replication.repair.leaving`` -> copies
made from here under the grant -> receipts, the new holders' records -> only then the claim here
ends and the record of this node is taken back -> when nothing is left, the node ends.

From its first moment the node takes no offers, and proves its copies to nobody: who is offered one
of them must not count it, and no holder may drop its own because of it.  It still serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Final

from dhtstore.model.identity import format_node, node_id
from dhtstore.node.copies.kept import Named
from dhtstore.node.duties.leaving.meter import LeaveMeter
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Watch
from dhtstore.params import LEAVES_AT_ONCE, LEAVES_SMALL_BYTES
from dhtstore.replication.repair.leaving import hand_over
from dhtstore.replication.repair.plan import Act, Choice
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.store.ledger.health.leaving import LeavingMark
from dhtstore.tasks import run_all

_WHAT: Final = "leaving"
_NAMES_AT_ONCE: Final = 64  # read from the ledger
_TEXT: Final = (
    "this node is leaving: it takes nothing from others any more; `dhtstore leave` goes on with it,"
    " `dhtstore leave --cancel` lets it stay"
)


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class Leaving:
    """``active`` from the first `leave` until it is cancelled; ``left`` is done when nothing is
    held here that others need.  Names in ``quiet`` are announced no more, ``announce_all`` has
    everything announced soon."""

    repair: Repair
    kept_no_more: KeptNoMore
    quiet: set[bytes]
    announce_all: Callable[[], None]
    mark: LeavingMark
    warnings: Warnings
    active: bool = False
    left: asyncio.Future[None] = field(default_factory=_future)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self) -> None:
        """As it was when this node last ran.  Raises HomeUnusable."""
        if await self.repair.acting.disk.blocking.run(self.mark.get):
            self._set_active()

    def _set_active(self) -> None:
        self.active = True
        self.warnings.tell(_WHAT, _TEXT)

    async def cancel(self) -> None:
        """Stay; what others took, they keep.  Raises NoRoom, HomeUnusable."""
        async with self._turn:
            await self.repair.acting.disk.blocking.run(self.mark.clear)
            self.active = False
            self.warnings.over(_WHAT)
            self.quiet.clear()
            self.announce_all()  # also what was quiet before a restart

    async def leave(self, watch: Watch) -> list[UnitDone]:
        """Bring all to others; what came of each claim.  What is left of it where this is cut
        short is done by the next.  Raises NoRoom, HomeUnusable, ConnectionLost."""
        async with self._turn, self.repair.alone():
            await self.repair.acting.disk.blocking.run(self.mark.set)
            self._set_active()
            done = await self._hand_over_all(watch)
            if all(each.act is Act.DROP for each in done):
                await self._fall_silent()
                await self.repair.acting.disk.blocking.run(self.mark.clear)
                if not self.left.done():
                    self.left.set_result(None)
            return done

    def _pages(self) -> AsyncIterator[list[Watched]]:
        return self.repair.units.pages(at_least=1)

    async def _hand_over_all(self, watch: Watch) -> list[UnitDone]:
        """Again until there is nothing new: the own user may have put something meanwhile."""
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
            if len(met) == before:
                return done

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
        if done.act is Act.DROP:
            if done.one.stays:
                self.quiet.add(one.unit.name)
            else:
                await self.repair.acting.end(done.one)
            await self.kept_no_more.withdraw([one.unit], kept=bool(done.one.stays))
        meter.done(one.id, one.claim.size_bytes, moved=done.made > 0)
        return done

    async def _bring(self, one: Watched, meter: LeaveMeter) -> UnitDone:
        """Once more where others knew a newer word of its owner, which counts here by then."""
        done = await self._brought(one, meter)
        if not done.outdated:
            return done
        now_kept = await self.repair.units.named([one.id], at_least=1)
        if not now_kept:
            return UnitDone(one, Act.DROP, "its owner wants it no more", done.copies)
        return await self._brought(now_kept[0], meter)

    async def _brought(self, one: Watched, meter: LeaveMeter) -> UnitDone:
        repair, since_unix_s = self.repair, self._now()
        await repair.asking.afresh(one)
        choice = self._choice(one, since_unix_s)
        if choice.act is Act.DROP:
            return UnitDone(one, choice.act, choice.why, choice.copies)
        if not repair.acting.may_bring(one):
            return _stays(one, choice, "its owner's leave to bring it to others is missing")
        if why := await repair.completeness.lack(one.unit):
            return _stays(one, choice, f"the copy here is not whole: {why}")
        progress = meter.copying(one.id, one.claim.size_bytes, choice.missing)
        brought = await repair.acting.repair(one, choice.missing, progress)
        await self._tell(one, [format_node(node_id(key)) for key in brought.holders], choice.why)
        choice = await self._choice_by_now(one, since_unix_s)
        made = len(brought.holders)
        if choice.act is not Act.DROP:
            await repair.told.refused(one, brought.why)
            stays = _stays(one, choice, brought.why, made, brought.sent_bytes)
            return replace(stays, outdated=brought.outdated)
        return UnitDone(one, Act.DROP, choice.why, choice.copies, made, brought.sent_bytes, True)

    async def _tell(self, one: Watched, nodes: Sequence[str], why: str) -> None:
        for node in nodes:
            size_bytes = one.claim.stored_bytes
            await self.repair.told.tell("moved", one, why, node=node, size_bytes=size_bytes)

    def _now(self) -> float:
        return self.repair.identity.now_unix_s()

    def _choice(self, one: Watched, since_unix_s: float) -> Choice:
        return hand_over(self.repair.judge.health(one), since_unix_s)

    async def _choice_by_now(self, one: Watched, since_unix_s: float) -> Choice:
        """After a copy that took long, others may be gone: they are asked again."""
        if self._now() - since_unix_s > self.repair.periods.proved_lately_s:
            since_unix_s = self._now()
            await self.repair.asking.afresh(one)
        return self._choice(one, since_unix_s)

    async def _fall_silent(self) -> None:
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
