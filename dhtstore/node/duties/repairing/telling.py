"""What `repair` and `events` tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from dhtstore.config import format_duration
from dhtstore.errors import UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.unit import unit_text
from dhtstore.net.ports import Blocking
from dhtstore.node.context import Ledger
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.operations.moment import Moment
from dhtstore.operations.repairing import CopyEvent, RepairedUnit, RepairResult
from dhtstore.params import EVENTS_KEPT_MAX, REPAIRS_TOLD_MAX
from dhtstore.replication.repair.plan import Act
from dhtstore.store.ledger.health.events import EventRow


async def repaired(
    repair: Repair,
    moves: Callable[[], Awaitable[list[UnitDone]]] | None,
    waits_s: Callable[[Watched], float | None],
    *,
    dry_run: bool,
) -> RepairResult:
    """``moves`` tells what is to be moved to emptier nodes; None on a node that holds nothing for
    others.  ``waits_s`` is as ``Outlook`` has it.  Raises UsageError there, and what ``Repair.now``
    raises."""
    if moves is None:
        raise UsageError("this node gives no storage, so it has nothing to repair").hinted(
            "holders repair by themselves; `dhtstore list --check` asks those of your puts"
        )
    done = await (repair.plan() if dry_run else repair.now())
    if dry_run:
        done = [await _waiting(each, waits_s) for each in done]
    moved = await moves() if dry_run else []
    told = [each for each in (*done, *moved) if each.act is not Act.NOTHING]
    return RepairResult(
        dry_run=dry_run,
        looked=len(done),
        units=await units_told(repair.completeness, told[:REPAIRS_TOLD_MAX]),
        more=max(0, len(told) - REPAIRS_TOLD_MAX),
        spent=repair.budget.spent_bytes,
        budget=repair.budget.day_bytes,
    )


async def _waiting(done: UnitDone, waits_s: Callable[[Watched], float | None]) -> UnitDone:
    """The same with when a silent holder is waited for no more; others have their turn between
    two of very many units."""
    await asyncio.sleep(0)
    if done.act is not Act.NOTHING or (left_s := waits_s(done.one)) is None:
        return done
    why = f"{done.why}; repair starts in {format_duration(max(1.0, left_s))}"
    return replace(done, act=Act.WAIT, why=why)


async def units_told(here: Completeness, done: Sequence[UnitDone]) -> list[RepairedUnit]:
    """By the names that they have here."""
    roots = dict.fromkeys(each.one.claim.policy.root for each in done)
    names = await here.disk.blocking.run(_names, here.ledger, roots)
    return [_unit_told(each, names[each.one.claim.policy.root]) for each in done]


def _unit_told(done: UnitDone, name: str) -> RepairedUnit:
    policy = done.one.claim.policy
    return RepairedUnit(
        unit=unit_text(done.one.unit.name),
        root=str(Cid(policy.root)),
        act=done.act,
        why=done.why,
        copies=done.copies,
        replicas=policy.replicas,
        made=done.made,
        sent=done.sent_bytes,
        name=name,
    )


async def copy_events(
    ledger: Ledger, blocking: Blocking, last: int, since_unix_s: float = 0.0
) -> list[CopyEvent]:
    """Raises UsageError, HomeUnusable."""
    if not 1 <= last <= EVENTS_KEPT_MAX:
        raise UsageError(f"{last} events is outside 1 to {EVENTS_KEPT_MAX}")
    rows = await blocking.run(ledger.events.last, last)
    recent = [row for row in rows if row.unix_s >= since_unix_s]
    return _events(recent, await blocking.run(_names, ledger, {row.root for row in recent}))


def _names(ledger: Ledger, roots: Collection[bytes]) -> dict[bytes, str]:
    """In a worker."""
    return {root: ledger.name_of(Cid(root)) for root in roots}


def _events(rows: Sequence[EventRow], names: Mapping[bytes, str]) -> list[CopyEvent]:
    return [
        CopyEvent(
            time=Moment.at(row.unix_s),
            kind=row.kind,
            unit=unit_text(row.unit),
            root=unit_text(row.root),
            node=row.node,
            size=row.size_bytes,
            why=row.why,
            name=names[row.root],
        )
        for row in rows
    ]
