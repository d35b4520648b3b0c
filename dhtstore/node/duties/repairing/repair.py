"""Keep the promise: as many copies as their owners asked for, of every unit that is held here.

data path: units with a claim -> who else holds them (lookups), whether those answer (pings) and
prove it (audits) -> the ledger -> ``replication.repair.plan`` -> looked at afresh -> copies made
from here within the day's budget, or a surplus one dropped -> events.

A round looks at all units; what then waits for its turn is judged again in between.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from dhtstore.config import counted, format_duration, format_size
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.repairing.acting import NOBODY, Acting, Repaired
from dhtstore.node.duties.repairing.asking import Asked, Asking
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.duties.repairing.inheriting.heirs import Heirs, Lot, drawn
from dhtstore.node.duties.repairing.noting.budget import Budget
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.duties.repairing.presence import OwnPresence
from dhtstore.node.duties.repairing.survey import UnitSurvey
from dhtstore.node.duties.repairing.told import CopyNews, UnitDone
from dhtstore.node.duties.repairing.trimming.letting_go import LettingGo
from dhtstore.node.duties.repairing.units import Units
from dhtstore.node.duties.repairing.watching import Judge, Watched
from dhtstore.node.identity import Identity
from dhtstore.node.warnings import Warnings
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, REPAIRS_WAITING_MAX
from dhtstore.replication.health.copies import Copy, CopyState
from dhtstore.replication.health.periods import Periods
from dhtstore.replication.repair.plan import Act, Choice, at_once
from dhtstore.store.ledger.health.holders import UnitId

_WHAT: Final = "repair"
NO_MORE: Final = "its owner wants no more copies of it"
_NO_LEAVE: Final = "its owner's leave to bring it to others is missing"
_SHORT: Final = "copies"
Chosen = tuple[Watched, Choice]


@dataclass(slots=True)
class Repair:
    """The duty.  One thing at a time: a command that asks for it now waits for what is going on.
    So many units had too few copies, as the last round found, that it is ``short`` of."""

    identity: Identity
    completeness: Completeness
    units: Units
    fellows: KnownFellows
    judge: Judge
    asking: Asking
    acting: Acting
    heirs: Heirs
    letting_go: LettingGo
    budget: Budget
    presence: OwnPresence
    told: CopyNews
    notes: Notes
    warnings: Warnings
    periods: Periods
    jitter: float
    joined: asyncio.Event
    short: int = 0
    _waiting: dict[UnitId, float] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _loaded: bool = False
    _looks_from: int = 0

    async def run(self) -> None:
        """Forever."""
        await self.joined.wait()
        async with self._turn:
            await self._load()
        await asyncio.sleep(self.periods.look_s * (1 + self.jitter))
        while True:
            await self._round()
            for _ in range(max(1, round(self.periods.ping_s / self.periods.look_s))):
                await asyncio.sleep(self.periods.look_s)
                await self._look_at_waiting()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Nothing is repaired or dropped meanwhile."""
        async with self._turn:
            await self._load()
            yield

    async def _load(self) -> None:
        if not self._loaded:
            await self.fellows.load()
            await self.budget.load()
            await self.presence.load()
            self._loaded = True

    async def _round(self) -> None:
        async with self._turn:
            await self.fellows.look()
            await self.presence.save()
            chosen = await self._survey()
            self.budget.waiting.clear()
            await self._act_all(chosen)

    # --- looking ----------------------------------------------------------------------------

    async def _survey(self) -> list[Chosen]:
        """Look at all units: what is to be done at once."""
        chosen, short, gone = list[Chosen](), 0, list[Lot]()
        survey = UnitSurvey(self.asking, self.units.rows, self.notes.write, first=self._looks_from)
        self._waiting.clear()
        async for units in self.units.pages():
            await survey.look(units)
            chosen += self._chosen(units)
            short += sum(map(self.judge.is_short, units))
            await survey.written(units)
            gone = drawn(gone, units, self.asking.rng)
        await survey.end()
        self._looks_from = survey.next_first
        await self.heirs.settle(gone)
        self.short = short
        _tell_short(self.warnings, short)
        await self.notes.write(self.units.forget, survey.met)
        await self.fellows.save(survey.holders)
        return chosen

    def _chosen(self, units: Sequence[Watched]) -> list[Chosen]:
        now = self.identity.now_unix_s()
        chosen: list[Chosen] = []
        for one in units:
            choice = self.judge.judge(one, now)
            if choice.act in (Act.REPAIR, Act.DROP):
                chosen.append((one, choice))
            elif choice.act is Act.WAIT and len(self._waiting) < REPAIRS_WAITING_MAX:
                self._waiting[one.id] = choice.due_unix_s
        return chosen

    async def _look_at_waiting(self) -> None:
        """Judge again what waited for its turn."""
        now = self.identity.now_unix_s()
        due = [unit for unit, due_unix_s in self._waiting.items() if due_unix_s <= now]
        if not due:
            return
        async with self._turn:
            for unit in due:
                self._waiting.pop(unit, None)
            named = await self.units.named(due)
            await self._act_all(self._chosen(named))

    # --- acting -----------------------------------------------------------------------------

    async def _act_all(self, chosen: Sequence[Chosen]) -> None:
        """What has fewest copies comes first; what the budget holds back is told."""
        for each in sorted(chosen, key=_first):
            done = await self._act(*each)
            self.budget.held_back(done.one.id, is_so=done.act is Act.WAIT)
        _tell_held_back(self.warnings, self.budget)

    async def _act(self, one: Watched, choice: Choice, *, now: bool = False) -> UnitDone:
        planned, unproved = _affordable(self.budget, one, choice), _unproved(self.judge, one)
        if planned.act is Act.WAIT and not now and not unproved:
            return _done(one, planned)
        if choice.act is Act.REPAIR and not self.acting.may_bring(one):
            return UnitDone(one, Act.NOTHING, f"{choice.why}; {_NO_LEAVE}", choice.copies)
        if choice.act is Act.REPAIR and not (now or unproved or self.acting.anybody(one)):
            return await _to_nobody(self.told, one, choice)
        if why := await self.completeness.lack(one.unit):
            return UnitDone(one, Act.NOTHING, f"the copy here is not whole: {why}", choice.copies)
        if choice.act is Act.DROP and not now:
            done = await self.letting_go.look(one)
        else:
            done = await self._act_afresh(one, choice, now=now)
        if not done.dropped:
            await self.notes.write(self.units.rows.save, {one.id: one.row})
        return done

    async def _act_afresh(self, one: Watched, choice: Choice, *, now: bool) -> UnitDone:
        """Look at the unit and ask its holders first: what is still missing then is made."""
        answer = await self.asking.afresh(one, again=now)
        if not await self.units.by_now(one):
            return UnitDone(one, Act.NOTHING, NO_MORE, choice.copies)
        choice = self.judge.judge(one, self.identity.now_unix_s())
        if now:
            choice = at_once(self.judge.health(one, answer))
        if choice.act is not Act.REPAIR:
            return UnitDone(one, Act.NOTHING, choice.why, choice.copies)
        choice = choice if now else _affordable(self.budget, one, choice)
        if choice.act is not Act.REPAIR:
            return _done(one, choice)
        if not now and not self.acting.anybody(one):
            return await _to_nobody(self.told, one, choice)
        return await self._repair(one, choice)

    async def _repair(self, one: Watched, choice: Choice) -> UnitDone:
        repaired = await self.acting.repair(one, choice.missing)
        await self.budget.spent(repaired.sent_bytes)
        await self.heirs.lack(one, repaired.holders)
        lost = self.judge.replaced(one) if repaired.holders else []
        await _tell_repaired(self.told, one, choice, repaired, lost)
        why = f"{choice.why}; {repaired.why}" if repaired.why else choice.why
        made = len(repaired.holders)
        return UnitDone(one, Act.REPAIR, why, choice.copies, made, repaired.sent_bytes)

    async def audit_now(
        self, key: PublicKey, places: Sequence[Address], ids: Sequence[UnitId]
    ) -> int:
        """``Asking.back``, unless something else is going on: then its turn comes.  Bytes at
        most that were read here for what it did not prove."""
        if self._turn.locked() or not self._loaded:
            return 0
        async with self._turn:
            since_unix_s = self.identity.now_unix_s()
            asked = await self.asking.back(key, places, await self.units.named(ids))
            rows = {one.id: one.row for some in asked.values() for one, _ in some}
            await self.notes.write(self.units.rows.save, rows)
            return _vain_bytes(self.judge, key, asked, since_unix_s)

    # --- for a command ----------------------------------------------------------------------

    async def plan(self) -> list[UnitDone]:
        """What is to be done as far as is known now, and when; nothing is done."""
        planned: list[UnitDone] = []
        async with self._turn:
            await self._load()
            async for units in self.units.pages():
                now = self.identity.now_unix_s()
                choices = [(one, self.judge.judge(one, now)) for one in units]
                planned += [_done(one, by_itself(self, one, choice)) for one, choice in choices]
        return planned

    async def now(self) -> list[UnitDone]:
        """Look at all units afresh, and repair what has too few copies that answer, whatever the
        grace, the turn and the budget say.  Raises NoRoom, HomeUnusable, ConnectionLost."""
        done: list[UnitDone] = []
        async with self._turn:
            await self._load()
            async for units in self.units.pages():
                for one in units:
                    choice = self.judge.judge(one, self.identity.now_unix_s())
                    done.append(await self._act(one, choice, now=True))
            self.budget.waiting.clear()
            _tell_held_back(self.warnings, self.budget)
        return done


def _vain_bytes(judge: Judge, key: PublicKey, asked: Asked, since_unix_s: float) -> int:
    return sum(
        min(count * BLOCK_SIZE_MAX_BYTES, one.claim.stored_bytes)
        for one, count in asked.get(key, [])
        if key not in judge.proved(one, since_unix_s, lasting=False)
    )


def _affordable(budget: Budget, one: Watched, choice: Choice) -> Choice:
    """What the budget lets come of ``choice`` by itself: one copy now is better than two
    tomorrow."""
    size_bytes = one.claim.stored_bytes
    if choice.act is not Act.REPAIR:
        return choice
    if copies := budget.allows(choice.missing, size_bytes):
        return replace(choice, missing=copies)
    left, copy = format_size(budget.left_bytes), format_size(size_bytes)
    why = f"too little is left of today's budget: {left}, and a copy takes {copy}"
    return _held_up(choice, why, budget.renewed_unix_s)


def _done(one: Watched, choice: Choice) -> UnitDone:
    return UnitDone(one, choice.act, choice.why, choice.copies)


def _unproved(judge: Judge, one: Watched) -> bool:
    """Whether others answer who are yet to prove their copy, for which no block is sent: there may
    be enough."""
    health = judge.health(one)
    return len(health.live) < len(health.at(CopyState.LIVE))


def by_itself(repair: Repair, one: Watched, choice: Choice) -> Choice:
    """What comes of ``choice`` where nobody asks for it: others who answer prove theirs first,
    somebody must be there to whom it may be brought, and then the budget counts."""
    if choice.act is not Act.REPAIR:
        return choice
    if _unproved(repair.judge, one):
        return _held_up(choice, "others answer, and are asked for a proof first")
    if not repair.acting.may_bring(one):
        return _held_up(choice, _NO_LEAVE)
    if not repair.acting.anybody(one):
        return _held_up(choice, f"{NOBODY}: one has to join, or `dhtstore policy` to want fewer")
    return _affordable(repair.budget, one, choice)


def _held_up(choice: Choice, why: str, due_unix_s: float = math.inf) -> Choice:
    """Infinite is a time that nobody knows."""
    return replace(choice, act=Act.WAIT, why=f"{choice.why}; {why}", due_unix_s=due_unix_s)


def _first(chosen: Chosen) -> tuple[int, int]:
    one, choice = chosen
    return choice.copies, one.claim.stored_bytes


async def _to_nobody(told: CopyNews, one: Watched, choice: Choice) -> UnitDone:
    await told.refused(one, NOBODY)
    return UnitDone(one, Act.NOTHING, f"{choice.why}; {NOBODY}", choice.copies)


async def _tell_repaired(
    told: CopyNews, one: Watched, choice: Choice, repaired: Repaired, lost: Sequence[Copy]
) -> None:
    for copy in lost:
        why = copy.lacks or f"silent for {format_duration(copy.silent_s)}"
        await told.tell("lost", one, why, node=format_node(copy.holder))
    for key in repaired.holders:
        node = format_node(node_id(key))
        sent_bytes = repaired.sent_bytes // len(repaired.holders)
        await told.tell("repaired", one, choice.why, node=node, size_bytes=sent_bytes)
    if repaired.why:
        await told.refused(one, repaired.why)


def _tell_short(warnings: Warnings, units: int) -> None:
    if not units:
        warnings.over(_SHORT)
        return
    have = counted(units, "unit that is held here has", "units that are held here have")
    does = "`dhtstore repair --dry-run` says what is done and why"
    warnings.tell(_SHORT, f"{have} fewer copies than wanted; {does}")


def _tell_held_back(warnings: Warnings, budget: Budget) -> None:
    if not budget.waiting:
        warnings.over(_WHAT)
        return
    spent, day = format_size(budget.spent_bytes), format_size(budget.day_bytes)
    warnings.tell(
        _WHAT,
        f"{counted(len(budget.waiting), 'unit')} with too few copies must wait: repairs have sent"
        f" {spent} today, of {day} that they may; `dhtstore repair` does it now",
    )
