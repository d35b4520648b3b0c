"""Leaving for good, without a copy too few at any moment.

data path: units with a claim -> who proves a copy now -> ``replication.repair.leaving`` -> copies
made from here under the grant -> receipts, the new holders' records -> only then the claim here
ends and the record of this node is taken back -> when nothing is left, the node ends.

From its first moment the node takes no offers, and proves its copies to nobody: who is offered one
of them must not count it, and no holder may drop its own because of it.  It still serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dhtstore.model.identity import format_node, node_id
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.keeping.withdrawals import KeptNoMore
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Progress, Watch
from dhtstore.replication.repair.leaving import hand_over
from dhtstore.replication.repair.plan import Act, Choice
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.store.ledger.health.leaving import LeavingMark

_WHAT: Final = "leaving"
_TEXT: Final = (
    "this node is leaving: it takes nothing from others any more; `dhtstore leave` goes on with it,"
    " `dhtstore leave --cancel` lets it stay"
)


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class Leaving:
    """``active`` from the first `leave` until it is cancelled; ``left`` is done when nothing is
    held here that others need."""

    repair: Repair
    kept_no_more: KeptNoMore
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

    async def leave(self, watch: Watch) -> list[UnitDone]:
        """Bring all to others; what came of each claim.  What is left of it where this is cut
        short is done by the next.  Raises NoRoom, HomeUnusable, ConnectionLost."""
        async with self._turn, self.repair.alone():
            await self.repair.acting.disk.blocking.run(self.mark.set)
            self._set_active()
            done = await self._hand_over_all(watch)
            if all(each.act is Act.DROP for each in done):
                await self.repair.acting.disk.blocking.run(self.mark.clear)
                if not self.left.done():
                    self.left.set_result(None)
            return done

    async def _hand_over_all(self, watch: Watch) -> list[UnitDone]:
        """Again until there is nothing new: the own user may have put something meanwhile."""
        done: list[UnitDone] = []
        met: set[UnitId] = set()
        while True:
            before = len(met)
            async for page in self.repair.units.pages(at_least=1):
                claims: dict[UnitId, list[Watched]] = {}
                for one in page:
                    claims.setdefault(one.id, []).append(one)
                for unit in [each for each in claims if each not in met]:
                    done += await self._hand_over(claims[unit])
                    met.add(unit)
                    watch(_progress(done))
            if len(met) == before:
                return done

    async def _hand_over(self, claims: Sequence[Watched]) -> list[UnitDone]:
        """A unit, for all whose claims are here; it stays until each of them has enough."""
        done = [await self._bring(one) for one in claims]
        if all(each.act is Act.DROP for each in done):
            one = claims[0]
            if not any(each.stays for each in claims):
                await self.repair.acting.end(one)
            await self.kept_no_more.withdraw([one.unit], kept=bool(one.stays))
        return done

    async def _bring(self, one: Watched) -> UnitDone:
        repair = self.repair
        await repair.asking.afresh(one)
        choice = self._choice(one)
        if choice.act is Act.DROP:
            return UnitDone(one, choice.act, choice.why, choice.copies)
        if not repair.acting.may_bring(one):
            return _stays(one, choice, "its owner's leave to bring it to others is missing")
        if why := await repair.completeness.lack(one.unit):
            return _stays(one, choice, f"the copy here is not whole: {why}")
        brought = await repair.acting.repair(one, choice.missing)
        await self._tell(one, [format_node(node_id(key)) for key in brought.holders], choice.why)
        choice = self._choice(one)
        if choice.act is not Act.DROP:
            await repair.told.refused(one, brought.why)
            return _stays(one, choice, brought.why, len(brought.holders), brought.sent_bytes)
        made = len(brought.holders)
        return UnitDone(one, Act.DROP, choice.why, choice.copies, made, brought.sent_bytes, True)

    async def _tell(self, one: Watched, nodes: Sequence[str], why: str) -> None:
        for node in nodes:
            size_bytes = one.claim.stored_bytes
            await self.repair.told.tell("moved", one, why, node=node, size_bytes=size_bytes)

    def _choice(self, one: Watched) -> Choice:
        now_unix_s = self.repair.identity.now_unix_s()
        return hand_over(self.repair.judge.health(one), now_unix_s)


def _stays(one: Watched, choice: Choice, why: str, made: int = 0, sent_bytes: int = 0) -> UnitDone:
    return UnitDone(one, Act.NOTHING, f"{choice.why}; {why}", choice.copies, made, sent_bytes)


def _progress(done: Sequence[UnitDone]) -> Progress:
    return Progress("leaving", sum(each.one.claim.stored_bytes for each in done), None)
