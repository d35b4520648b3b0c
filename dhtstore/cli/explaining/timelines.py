"""Timelines for people: aligned, within 80 columns, few lines of few and bounded lines of many."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from dhtstore.config import counted, format_size
from dhtstore.operations.content import HolderReport
from dhtstore.operations.explaining.causes import CauseKind
from dhtstore.operations.explaining.report import (
    AddressTry,
    FetchReport,
    HolderTimeline,
    UnitSearch,
)

WIDTH: Final = 80
HOLDERS_SHOWN_MAX: Final = 16
SEARCHES_SHOWN_MAX: Final = 8
REPORTS_SHOWN_MAX: Final = 24
LIMITED_TOLD_S: Final = 0.1  # less is no reason why something was slow
ID_CHARS: Final = 10  # as much of a node id as tells nodes apart; `ping` takes it
_HEAD: Final = ("holder", "asked at", "1st byte", "blocks", "bytes", "rate", "ended")


def lines_of(report: FetchReport) -> Iterator[str]:
    """What a fetch did."""
    for search in _grouped(report.searches[-SEARCHES_SHOWN_MAX:]):
        yield from search
    hidden = report.searches_count - min(len(report.searches), SEARCHES_SHOWN_MAX)
    if hidden > 0:
        yield f"and {counted(hidden, 'lookup')} before these"
    if not report.holders:
        yield f"nobody was asked for blocks, in {seconds(report.took_s)}"
    else:
        yield from _table(report.holders[:HOLDERS_SHOWN_MAX])
        yield from _rest(report)
    if report.limited_s >= LIMITED_TOLD_S:
        told = f"of {seconds(report.took_s)} it waited {seconds(report.limited_s)} for its turn"
        yield from wrapped(f"{told} within limit_down of this node", "")
    if report.doing and report.cause in (CauseKind.DEADLINE, CauseKind.INTERRUPTED):
        yield from wrapped(f"after {seconds(report.took_s)}: {report.doing}", "")


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value < 1000 else f"{value:.0f} s"


def wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )


def table(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Cells in columns: the first and the last begin together, the others end together."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells, row[-1]]).rstrip())
    return lines


def _grouped(searches: Sequence[UnitSearch]) -> Iterator[list[str]]:
    for unit, lookups in groupby(searches, key=lambda search: search.unit):
        yield [f"unit {unit}", *(line for each in lookups for line in wrapped(_search(each)))]


def _search(search: UnitSearch) -> str:
    names = ", ".join(node[:ID_CHARS] for node in search.holders)
    found = f"; named {names}" if names else ""
    expired = f"; {counted(search.expired, 'record')} out of time" if search.expired else ""
    took = "" if search.took_s is None else f", took {seconds(search.took_s)}"
    when = f"lookup {search.lookup} at {seconds(search.began_s)}{took}"
    return f"{when}: {search.told}{found}{expired}"


def _table(holders: Sequence[HolderTimeline]) -> Iterator[str]:
    lines = table([_HEAD, *(_row(each) for each in holders)])
    yield lines[0]
    for line, holder in zip(lines[1:], holders, strict=True):
        yield line
        yield from _details(holder)


def _row(holder: HolderTimeline) -> tuple[str, ...]:
    rate = f"{format_size(int(holder.rate))}/s" if holder.rate else "-"
    gave = format_size(holder.delivered_bytes) if holder.delivered else "-"
    blocks, ended = str(holder.delivered), holder.cause.kind if holder.cause else _well(holder)
    asked, first = seconds(holder.asked_s), seconds(holder.first_byte_s)
    return holder.node[:ID_CHARS], asked, first, blocks, gave, rate, ended


def _well(holder: HolderTimeline) -> str:
    """How far one came that nothing went wrong with."""
    if holder.delivered:
        return "done"
    return "dialled" if holder.connected_s is None else "not needed"


def _details(holder: HolderTimeline) -> Iterator[str]:
    """Why it ended, and what came of its addresses, where that says more than the row."""
    if holder.cause is not None and not any(each.cause == holder.cause for each in holder.tries):
        ended = "waiting" if holder.ended_s is None else f"ended at {seconds(holder.ended_s)}"
        yield from wrapped(f"{ended}: {holder.cause.why}")
    if holder.busy:
        yield from wrapped(f"said {counted(holder.busy, 'time')} that it was busy")
    for (address, why), tries in groupby(holder.tries, key=_outcome):
        at = [each.began_s for each in tries]
        again = f", {len(at)} times" if len(at) > 1 else ""
        yield from wrapped(f"{address} at {seconds(at[0])}{again}: {why}")
    if holder.tries_count > len(holder.tries):
        yield f"  and {counted(holder.tries_count - len(holder.tries), 'try', 'tries')} more"


def _outcome(tried: AddressTry) -> tuple[str, str]:
    return tried.address, tried.cause.why if tried.cause else "connected"


def _rest(report: FetchReport) -> Iterator[str]:
    """Those left out, by what went wrong."""
    counts = dict(report.untold)
    for each in report.holders[HOLDERS_SHOWN_MAX:]:
        kind = each.cause.kind if each.cause else ""
        counts[kind] = counts.get(kind, 0) + 1
    if counts:
        yield from wrapped(f"and {sum(counts.values())} more: {_counted(counts)}", "")


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind or 'without trouble'}" for kind, count in ordered)


NONE_UNTOLD: Final[Mapping[str, int]] = {}
NO_PHASES: Final[Mapping[str, float]] = {}
_PUT_HEAD: Final = ("node", "offered", "answered", "1st byte", "bytes", "rate", "outcome")


def lines_of_put(
    all_reports: Sequence[HolderReport],
    untold: Mapping[str, int] = NONE_UNTOLD,
    phases: Mapping[str, float] = NO_PHASES,
) -> Iterator[str]:
    """What became of each candidate, unit by unit, and where the time went."""
    shown = all_reports[:REPORTS_SHOWN_MAX]
    for unit, reports in groupby(shown, key=lambda report: report.unit):
        of_unit = list(reports)
        yield f"unit {unit}"
        lines = table([_PUT_HEAD, *(_put_row(each) for each in of_unit)])
        yield lines[0]
        for line, report in zip(lines[1:], of_unit, strict=True):
            yield line
            yield from _put_details(report)
    if len(all_reports) > len(shown) or untold:
        counts = Counter(each.stage for each in all_reports[REPORTS_SHOWN_MAX:])
        counts.update(untold)
        yield from wrapped(f"and {sum(counts.values())} more: {_counted(counts)}", "")
    if phases:
        told = ", ".join(f"{phase} {seconds(took_s)}" for phase, took_s in phases.items())
        yield from wrapped(f"time: {told}", "")


def _put_row(report: HolderReport) -> tuple[str, ...]:
    rate = f"{format_size(int(report.rate))}/s" if report.rate else "-"
    gave = format_size(report.copied) if report.copied else "-"
    outcome = report.cause.kind if report.cause else report.stage
    times = [seconds(at) for at in (report.offered_s, report.answered_s, report.first_byte_s)]
    return report.node[:ID_CHARS], *times, gave, rate, outcome


def _put_details(report: HolderReport) -> Iterator[str]:
    code = f" ({report.code})" if report.code else ""
    if report.reason:
        yield from wrapped(report.reason)
    if report.why:
        yield from wrapped(f"{report.stage} at {seconds(report.ended_s)}: {report.why}{code}")
    for each in report.tries:
        if each.cause is not None and each.cause != report.cause:
            yield from wrapped(f"{each.address} at {seconds(each.began_s)}: {each.cause.why}")
    if report.replaced_by:
        yield f"  its place was taken by {report.replaced_by[:ID_CHARS]}"
