"""What a fetch fails with that nobody is left for: the error whose place in the tree is its exit
code, with the verdict as its message and the report beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from dhtstore.config import counted
from dhtstore.errors import (
    DhtstoreError,
    IntegrityFailure,
    Interrupted,
    NoRoom,
    NoSuchPath,
    NotFound,
    NotHere,
    TargetUnusable,
    TimedOut,
    Unreachable,
)
from dhtstore.operations.explaining.causes import CauseKind, kind_of
from dhtstore.operations.explaining.report import FetchReport, HolderTimeline, UnitSearch
from dhtstore.operations.explaining.verdict import advice, decisive, verdict

_OWN_CAUSES: Final = (
    NoRoom, TargetUnusable, TimedOut, Interrupted, IntegrityFailure, NotFound, Unreachable
)  # fmt: skip


def given_up(
    cid: str,
    search: UnitSearch,
    holders: Sequence[HolderTimeline],
    report: FetchReport,
    unasked: str,
) -> DhtstoreError:
    """Of a block whose unit was looked for last by ``search``, and which ``holders`` that were
    found for it did not give: NotFound, Unreachable or IntegrityFailure.  ``unasked`` is why
    nobody could be asked, "" if somebody was."""
    error: DhtstoreError
    if unasked and not search.found:
        error, kind = (
            Unreachable(f"cannot tell who provides {cid}: {unasked}"),
            CauseKind.NOBODY_ASKED,
        )
    elif search.found:
        error, kind = _not_given(cid, search.found, holders)
    else:
        error, kind = _not_found(cid, search, report)
    vars(error)["report"] = replace(report, cause=kind)
    return error.hinted(advice(kind, holders))


def late(timeout_s: float | None, report: FetchReport) -> TimedOut:
    """The deadline is over: what was under way."""
    error = TimedOut(f"not done within {timeout_s:g} s: {report.doing}")
    vars(error)["report"] = replace(report, cause=CauseKind.DEADLINE)
    return error


def with_report(error: DhtstoreError, report: FetchReport) -> None:
    """Give an error of the fetch or of its surroundings the report, and the cause by its class; one
    that carries a report keeps it."""
    decided = isinstance(error, _OWN_CAUSES) and not isinstance(error, NoSuchPath | NotHere)
    told = replace(report, cause=kind_of(error) if decided else None)
    vars(error).setdefault("report", told)


def _not_given(
    cid: str, found: int, holders: Sequence[HolderTimeline]
) -> tuple[DhtstoreError, CauseKind]:
    kind = decisive(holders) or CauseKind.STALE
    told = verdict(holders, found)
    if kind is CauseKind.WRONG_BYTES:
        return IntegrityFailure(f"no holder gives the right bytes of {cid}: {told}"), kind
    if kind is CauseKind.STALE:
        return NotFound(f"nobody has {cid} any more: {told}"), kind
    return Unreachable(f"no provider gives {cid}: {told}"), kind


def _not_found(
    cid: str, search: UnitSearch, report: FetchReport
) -> tuple[DhtstoreError, CauseKind]:
    told = f" ({search.told})" if search.told else ""
    if search.expired:
        records = f"the records of {counted(search.expired, 'node')} are out of time"
        return NotFound(f"nobody provides {cid} now: {records}{told}"), CauseKind.STALE
    if report.units_found:
        found = f"only {report.units_found} of {report.units} units have a holder"
        return NotFound(f"{found}: nobody provides {cid}{told}"), CauseKind.UNITS_MISSING
    return NotFound(f"nobody provides {cid}{told}"), CauseKind.NO_RECORDS
