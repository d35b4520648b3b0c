"""What came of a put, and whether it is what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dhtstore.config import counted, format_own_clock
from dhtstore.errors import NotAnnounced, PartlyStored, QuorumNotReached
from dhtstore.model.cid import Cid
from dhtstore.model.receipt import Receipt
from dhtstore.node.copies.placed import CopyReport, PlacedUnit
from dhtstore.operations.content import SkippedEntry
from dhtstore.replication.quorum import Quorum, Shortage, obstacles_of

REPORTS_TOLD_MAX: Final = 64  # of each stage; as many as holders in the report of a get
CAUSES_TOLD_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """``copies`` is the smallest number of receipts over the units; ``causes`` says, per node
    and its last reason, why there are not more; ``reports`` tell the same of each unit and each
    node that was asked, the first REPORTS_TOLD_MAX of each stage, and ``untold`` counts the others
    by stage.  They are on ``hosts`` distinct addresses in ``subnets``.  ``lent`` is
    whether it did not fit here, and was read again for others.  ``replicas_kept`` is whether the
    number is that of an earlier put and not the default, ``name_kept`` the name of an earlier put
    where that stays; "" where it does not."""

    cid: Cid
    size_bytes: int
    replicas: int
    min_acks: int
    copies: int
    receipts: Sequence[Receipt]
    causes: Mapping[str, str]
    reports: Sequence[CopyReport] = ()
    untold: Mapping[str, int] = field(default_factory=dict)
    hosts: int = 0
    subnets: int = 0
    skipped: Sequence[SkippedEntry] = ()
    skipped_count: int = 0
    lent: bool = False
    replicas_kept: bool = False
    name_kept: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)


def told_reports(placed: Iterable[PlacedUnit]) -> tuple[list[CopyReport], dict[str, int]]:
    """``reports`` and ``untold`` of an outcome: many units with many candidates each are asked."""
    told, counts = list[CopyReport](), Counter[str]()
    for report in (report for each in placed for report in _all_of(each)):
        counts[report.stage.value] += 1
        if counts[report.stage.value] <= REPORTS_TOLD_MAX:
            told.append(report)
    return told, {
        stage: count - REPORTS_TOLD_MAX
        for stage, count in counts.items()
        if count > REPORTS_TOLD_MAX
    }


def _all_of(placed: PlacedUnit) -> list[CopyReport]:
    return [*placed.reports(), *placed.passed_over()]


def told_causes(placed: Iterable[PlacedUnit]) -> dict[str, str]:
    """``causes`` of an outcome, of the first CAUSES_TOLD_MAX nodes."""
    causes = dict[str, str]()
    for node, why in (pair for each in placed for pair in each.causes.items()):
        if node in causes or len(causes) < CAUSES_TOLD_MAX:
            causes[node] = why
    return causes


def check_result(
    result: PutOutcome, placed: Sequence[PlacedUnit], quorum: Quorum, clock_ahead_s: float | None
) -> None:
    """Raises QuorumNotReached, NotAnnounced and PartlyStored, with ``result`` as ``partial``."""
    if result.copies < quorum.copies:
        raise _quorum_not_reached(result, placed, quorum, format_own_clock(clock_ahead_s))
    if not all(each.announced or not each.made for each in placed):
        raise NotAnnounced(
            f"{result.cid} has {counted(result.copies, 'copy', 'copies')}, but no node took the"
            " records by which others find them",
            partial=result,
        )
    if count := result.skipped_count:
        what = counted(count, "entry", "entries")
        raise PartlyStored(f"stored, but for {what} that had to be skipped", partial=result)


def _quorum_not_reached(
    result: PutOutcome, placed: Sequence[PlacedUnit], quorum: Quorum, own_clock: str
) -> QuorumNotReached:
    """Told by the unit that has the fewest copies."""
    worst = min(placed, key=lambda each: len(each.copies))
    others = [report for report in worst.reports() if report.node != worst.plan.here]
    obstacles = obstacles_of((report.stage, report.code) for report in others)
    here = any(report.node == worst.plan.here for report in worst.reports())
    asked, part_bytes = len(others), worst.unit.size_bytes
    short = Shortage(result.copies, result.replicas, quorum, asked, obstacles, here, part_bytes)
    clock = f"; this node's clock is {own_clock}: set it by a time server" if own_clock else ""
    error = QuorumNotReached(
        short.message() + clock,
        copies=result.copies,
        replicas=result.replicas,
        min_acks=quorum.copies,
        partial=result,
    ).hinted(short.hint())
    error.causes = dict(result.causes)
    return error
