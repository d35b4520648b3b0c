"""Service levels from reference runs: the mean, and a tolerance that few sound runs exceed.

One run differs from the mean of ``n`` by its own chance and by theirs.  The tolerance is the larger
of two bounds for that, and a margin for what changes may cost without anybody's asking:

- what the runs show: the one-sided 99 % prediction bound of Student's t, as wide as the guess of a
  standard deviation from few runs is poor (7 deviations with 3 runs, 3.7 with 5, 2.8 with 10);
- what the number of operations alone brings, three standard errors: binomial for shares; for a
  quantile, the step to the quantile one standard error of its rank further up (Woodruff 1952).

Where a run is so long that several are dear, parts of it stand for runs (batch means: Law and
Kelton, section 9.5.3).  They differ more than whole runs do, so that the tolerance is the wider.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulations.results.rows import OperationRow
from simulations.results.summary import quantile
from simulations.sections.service import ServiceLevel
from simulations.service.judge import OPERATIONS_MIN

RUNS_MIN = 3
SUCCESS_MARGIN = 0.01
TIME_MARGIN = 0.1
_ERRORS = 3.0
# One-sided 99 % quantiles of Student's t for 2 to 10 degrees of freedom, and for more than those.
_T99 = (6.965, 4.541, 3.747, 3.365, 3.143, 2.998, 2.896, 2.821, 2.764)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of one run, with its standard error as the number of operations alone has it."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Served:
    """What one run served of one kind of operation."""

    operations: int
    success: Figure
    recall: Figure
    p50_s: Figure
    p95_s: Figure


def served(rows: Iterable[OperationRow], parts: int = 1) -> list[dict[str, Served]]:
    """Of each of so many parts of a run, by kind of operation, of which each part has as many as
    the others; whole ones come one after another."""
    by_kind: dict[str, list[OperationRow]] = {}
    for row in rows:
        if row.could_be_served:
            by_kind.setdefault(row.kind, []).append(row)
    for of_kind in by_kind.values():
        of_kind.sort(key=lambda row: row.start_s)
    return [
        {kind: _served(_part(of_kind, n, parts)) for kind, of_kind in sorted(by_kind.items())}
        for n in range(parts)
    ]


def _part(rows: Sequence[OperationRow], number: int, parts: int) -> Sequence[OperationRow]:
    return rows[number * len(rows) // parts : (number + 1) * len(rows) // parts]


def _served(rows: Sequence[OperationRow]) -> Served:
    took_s = sorted(row.stop_s - row.start_s for row in rows if row.ok)
    success = Figure(len(took_s) / max(1, len(rows)), _error_of_share(len(took_s), len(rows)))
    recall = _mean([row.recall for row in rows if row.ok and row.queries])
    return Served(len(rows), success, recall, _quantile(took_s, 0.5), _quantile(took_s, 0.95))


def _error_of_share(good: int, count: int) -> float:
    nearer = (good + 1) / (count + 2)  # Laplace: all of 200 leaves room for one of 200
    return math.sqrt(nearer * (1 - nearer) / count)


def _mean(values: Sequence[float]) -> Figure:
    if len(values) < 2:
        return Figure(0.0, 0.0)
    return Figure(statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values)))


def _quantile(ordered: Sequence[float], share: float) -> Figure:
    if not ordered:
        return Figure(0.0, 0.0)
    value = quantile(ordered, share)
    further = min(1.0, share + math.sqrt(share * (1 - share) / len(ordered)))
    return Figure(value, quantile(ordered, further) - value)


def levels(runs: Sequence[Mapping[str, Served]]) -> dict[str, ServiceLevel]:
    """Of RUNS_MIN runs at least; of the kinds of which each had enough operations."""
    return {
        kind: _level([run[kind] for run in runs])
        for kind in runs[0]
        if all(kind in run and run[kind].operations >= OPERATIONS_MIN for run in runs)
    }


def _level(runs: Sequence[Served]) -> ServiceLevel:
    success, bound = _mean_and_bound([run.success for run in runs])
    recall, recall_bound = _mean_and_bound([run.recall for run in runs])
    p50_s, p50_bound_s = _mean_and_bound([run.p50_s for run in runs])
    p95_s, p95_bound_s = _mean_and_bound([run.p95_s for run in runs])
    return ServiceLevel(
        min(run.operations for run in runs),
        success,
        min(success, bound + SUCCESS_MARGIN),
        recall,
        min(recall, recall_bound + SUCCESS_MARGIN),
        p50_s,
        p50_bound_s + TIME_MARGIN * p50_s,
        p95_s,
        p95_bound_s + TIME_MARGIN * p95_s,
    )


def _mean_and_bound(runs: Sequence[Figure]) -> tuple[float, float]:
    """And by how much another run differs from the mean of these."""
    values = [run.value for run in runs]
    shown = _T99[min(len(runs) - RUNS_MIN, len(_T99) - 1)] * statistics.stdev(values)
    alone = _ERRORS * math.sqrt(statistics.fmean(run.error**2 for run in runs))
    return statistics.fmean(values), max(shown, alone) * math.sqrt(1 + 1 / len(runs))
