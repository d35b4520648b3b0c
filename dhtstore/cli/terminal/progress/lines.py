"""The words of progress: lines that fit a terminal, and lines for a log.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.cli.terminal.common import printable
from dhtstore.cli.terminal.progress.rates import Rates
from dhtstore.config import counted, format_duration, format_size
from dhtstore.operations.operation import HolderProgress, Progress

_BAR_MIN: Final = 10  # columns: narrower says less than the percentage beside it
_BAR_MAX: Final = 40
_PHASE_COLUMNS: Final = len("announcing")
HOLDERS_SHOWN_MAX: Final = 16
_NODE_CHARS: Final = 12


def bar_line(rates: Rates, now_s: float, columns: int) -> str:
    """A phase at work, in ``columns``: what matters least is left out first, and a bar takes what
    is left."""
    progress, rate, left_s = rates.progress, rates.of_all(now_s), rates.left_s(now_s)
    phase, size = progress.phase.ljust(_PHASE_COLUMNS), format_size(progress.done_bytes)
    whole = f"{size} of {format_size(progress.total_bytes)}" if progress.total_bytes else size
    speed = f"{format_size(rate)}/s" if rate is not None else ""
    left = f"{_short(left_s)} left" if left_s is not None else ""
    shown = [phase, _percent(progress), size, speed]
    for parts in (
        [phase, _percent(progress), whole, speed, left, _holders(progress)],
        [phase, _percent(progress), whole, speed, left],
        [phase, _percent(progress), whole, speed],
    ):
        if _length(parts) <= columns:
            shown = parts
            break
    bar_columns = min(columns - _length(shown) - 2, _BAR_MAX)
    if progress.total_bytes and bar_columns >= _BAR_MIN:
        shown.insert(1, _bar(progress, bar_columns))
    return _joined(shown)[:columns]


def done_line(rates: Rates, took_s: float, columns: int) -> str:
    """A phase that is over."""
    progress = rates.progress
    phase, size = progress.phase.ljust(_PHASE_COLUMNS), format_size(progress.done_bytes)
    return _joined([phase, f"{size} in {_short(took_s)}", _mean(rates, took_s)])[:columns]


def holder_lines(rates: Rates, now_s: float, columns: int) -> list[str]:
    """A line for each node that bytes move to or from, with its bytes and rate."""
    lines = []
    for each in _shown(rates.progress.by_holder):
        rate = rates.of_holder(each.node, now_s)
        speed = f"{format_size(rate)}/s" if rate is not None else ""
        speed = "busy, asked again soon" if each.busy else speed
        node = printable(each.node[:_NODE_CHARS])
        lines.append(f"  {_joined([node, format_size(each.done_bytes), speed])}"[:columns])
    more = len(rates.progress.by_holder) - HOLDERS_SHOWN_MAX
    return [*lines, f"  and {more} more"] if more > 0 else lines


def plain_lines(rates: Rates, now_s: float, *, verbose: bool) -> list[str]:
    """For a log: everything that is known, without a width."""
    progress, rate, left_s = rates.progress, rates.of_all(now_s), rates.left_s(now_s)
    size = format_size(progress.done_bytes)
    if progress.total_bytes:
        size += f" of {format_size(progress.total_bytes)} ({_percent(progress).strip()})"
    speed = f"{format_size(rate)}/s" if rate is not None else ""
    left = f"{_short(left_s)} left" if left_s is not None else ""
    told = ", ".join(each for each in (size, speed, left, _holders(progress)) if each)
    lines = [f"{progress.phase}: {told}"]
    return lines + (holder_lines(rates, now_s, 80) if verbose else [])


def plain_end(rates: Rates, took_s: float) -> str:
    """The last of a phase."""
    size, mean = format_size(rates.progress.done_bytes), _mean(rates, took_s)
    return f"{rates.progress.phase}: {size} in {_short(took_s)}" + (f", {mean}" if mean else "")


def _shown(holders: Sequence[HolderProgress]) -> Sequence[HolderProgress]:
    return holders[:HOLDERS_SHOWN_MAX]


def _percent(progress: Progress) -> str:
    if not progress.total_bytes:
        return ""
    return f"{min(progress.done_bytes * 100 // progress.total_bytes, 100):3d}%"


def _holders(progress: Progress) -> str:
    if not progress.holders:
        return ""
    busy = sum(each.busy for each in progress.by_holder)
    return counted(progress.holders, "holder") + (f", {busy} busy" if busy else "")


def _mean(rates: Rates, took_s: float) -> str:
    moved_bytes = rates.progress.moved_bytes
    return f"{format_size(moved_bytes / took_s)}/s" if took_s > 0 and moved_bytes else ""


def _bar(progress: Progress, columns: int) -> str:
    inside = columns - 2
    filled = min(progress.done_bytes * inside // (progress.total_bytes or 1), inside)
    return f"[{'#' * filled}{'.' * (inside - filled)}]"


def _short(duration_s: float) -> str:
    """``12 s`` below two minutes, where it changes at every look; else in words."""
    if duration_s < 9.95:
        return f"{duration_s:.1f} s"
    return f"{duration_s:.0f} s" if duration_s < 120 else format_duration(duration_s)


def _joined(parts: Sequence[str]) -> str:
    return "  ".join(part for part in parts if part)


def _length(parts: Sequence[str]) -> int:
    return len(_joined(parts))
