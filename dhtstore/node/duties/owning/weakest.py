"""Of all that is held here, what is most likely to be lost, what has too few copies and why.

data path: the rows of the ledger on other holders, all of them, in a worker -> those with the
fewest that are there, and those that are short -> their claims -> judged as repair would now.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from dhtstore.model.cid import Cid
from dhtstore.model.unit import unit_text
from dhtstore.node.duties.owning.outlook import Outlook, live_copies
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.operations.safety import CopiesStatus, WeakObject
from dhtstore.params import SHORT_TOLD_MAX, WEAKEST_TOLD
from dhtstore.replication.repair.losing import LossRate
from dhtstore.replication.repair.plan import Act, Choice
from dhtstore.store.ledger.health.holders import HolderRows, UnitId

T = TypeVar("T")
_LOOKED_AT: Final = 4 * WEAKEST_TOLD  # units: several may be of one object, or not kept any more


class _Scanned(NamedTuple):
    units: int
    short: list[UnitId]
    weakest: list[UnitId]


class _Here(NamedTuple):
    """What an object is called here, and, if it was put from here, how many signed for it."""

    name: str
    signed: int | None


@dataclass(frozen=True, slots=True)
class Weakest:
    """``rows`` are those of other holders."""

    outlook: Outlook
    rows: HolderRows

    async def status(self) -> CopiesStatus:
        """Raises HomeUnusable."""
        repair = self.outlook.repair
        periods = repair.periods
        there = {
            bytes(key): 0.0 if past.silent_s >= past.grace_s(periods) else past.there_share
            for key, past, _ in repair.fellows.known()
        }
        scanned = await self._run(_scan, self.rows, there)
        ids = dict.fromkeys([*scanned.short[:SHORT_TOLD_MAX], *scanned.weakest])
        held = {one.id: one for one in await repair.units.named(list(ids))}
        marked = [held[each] for each in scanned.short if each in held]
        judged = [(one, self.outlook.choice(one)) for one in marked]
        is_short = repair.judge.is_short  # still, as judged now
        short = [(one, choice) for one, choice in judged if choice.missing and is_short(one)]
        weak = [held[each] for each in scanned.weakest if each in held]
        names = await self._run(self._put_here, weak)
        waiting, missing_bytes = self._waiting(short)
        return CopiesStatus(
            watched=scanned.units,
            short=len(short) + max(0, len(scanned.short) - SHORT_TOLD_MAX),
            short_bytes=missing_bytes,
            waiting=waiting,
            weakest=self._weakest(weak, names),
            spent=repair.budget.spent_bytes,
            budget=repair.budget.day_bytes,
            seen=self.outlook.seen(),
        )

    def _waiting(self, short: list[tuple[Watched, Choice]]) -> tuple[dict[str, int], int]:
        """What those wait for, and how much is to be sent for them."""
        reasons, missing_bytes = Counter[str](), 0
        for one, choice in short:
            size_bytes = choice.missing * one.claim.stored_bytes
            missing_bytes += size_bytes
            if choice.act in (Act.REPAIR, Act.WAIT):
                reasons[self._why(one, choice)] += 1
        return dict(reasons), missing_bytes

    def _why(self, one: Watched, choice: Choice) -> str:
        repair = self.outlook.repair
        if not repair.acting.may_bring(one):
            return "for their owner, who gave nobody leave to bring them to others: put them again"
        if repair.told.in_vain(one.id):
            return "for somebody who takes them: `dhtstore events` says who declined"
        if choice.act is Act.WAIT:
            return "for a holder nearer to them, whose turn is first"
        if not repair.budget.allows(choice.missing, one.claim.stored_bytes):
            too_little = "too little is left of today's budget"
            return f"for tomorrow, since {too_little}, or for `dhtstore repair`"
        return "for the next round, within the hour, or for `dhtstore repair`"

    def _weakest(self, units: list[Watched], names: Mapping[bytes, _Here]) -> list[WeakObject]:
        """Of each object the weakest unit."""
        rate = self.outlook.repair.fellows.losses()
        found: dict[bytes, WeakObject] = {}
        for one in units:
            root = one.claim.policy.root
            told, known = self._object(one, names[root], rate), found.get(root)
            if known is None or told.lost_per_year > known.lost_per_year:
                found[root] = told
        ranked = sorted(found.values(), key=lambda each: -each.lost_per_year)
        return ranked[:WEAKEST_TOLD]

    def _object(self, one: Watched, here: _Here, rate: LossRate) -> WeakObject:
        repair, care = self.outlook.repair, self.outlook.care(one)
        health = repair.judge.health(one)
        return WeakObject(
            root=str(Cid(one.claim.policy.root)),
            name=here.name,
            unit=unit_text(one.unit.name),
            size=one.claim.size_bytes,
            live=live_copies(health),
            copies=health.counted,
            replicas=one.target,
            lost_per_year=self.outlook.lost(one, rate, here.signed),
            act=care.act,
            why=care.why,
            due=care.due,
        )

    def _put_here(self, units: list[Watched]) -> dict[bytes, _Here]:
        """In a worker."""
        ledger = self.outlook.repair.completeness.ledger
        found: dict[bytes, _Here] = {}
        for root in dict.fromkeys(one.claim.policy.root for one in units):
            put = ledger.puts.summary(Cid(root))
            found[root] = _Here(ledger.name_of(Cid(root)), put.copies if put else None)
        return found

    async def _run(self, work: Callable[..., T], *given: object) -> T:
        return await self.outlook.repair.completeness.disk.blocking.run(work, *given)


def _scan(rows: HolderRows, there: Mapping[bytes, float]) -> _Scanned:
    """``there`` is which part of the time each holder is there."""
    short: list[UnitId] = []
    weakest: list[tuple[float, UnitId]] = []
    units = 0
    for unit, row in rows.all():
        units += 1
        if row.short_since_unix_s is not None:
            short.append(unit)
        if not row.looked_unix_s:
            continue  # who else holds it is not known yet
        expected = sum(there.get(each.key, 1.0) for each in row.holders if not each.lacks)
        entry = (-expected, unit)
        if len(weakest) < _LOOKED_AT:
            heapq.heappush(weakest, entry)
        elif entry > weakest[0]:
            heapq.heapreplace(weakest, entry)
    return _Scanned(units, short, [unit for _, unit in sorted(weakest, reverse=True)])
