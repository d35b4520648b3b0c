"""Means over the seeds of each setting, with confidence intervals.

One run is no evidence (Jansen et al. 2021): an interval needs two, and ten are better.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from simulations.lab.many_runs.sweep import MeasuredValue, Settings, Sweep, SweptRun
from simulations.results.intervals import (
    Interval,
    mean_interval,
    mean_share_interval,
    share_interval,
)
from simulations.results.tables import Columns, write_table

ESTIMATES, RUNS = "sweep", "runs"  # names of the tables
_METHOD = (
    "low, high: 95 % confidence. Means: Student's t over runs. Shares: pooled over operations, "
    "Wilson's interval, widened by what runs differ more than chance"
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measure over the runs of one setting: its mean, or of a share of operations that of all;
    ``low`` and ``high`` bound it with 95 % confidence, and are NaN for a single run's mean."""

    settings: Settings
    measure: str
    kind: str
    runs: int
    mean: float
    low: float
    high: float


def estimates(sweep: Sweep) -> list[Estimate]:
    """Every measure of every setting, in order of the settings."""
    found: dict[tuple[Settings, str, str], list[MeasuredValue]] = {}
    for run in sweep.runs:
        for one in run.measures:
            found.setdefault((run.settings, one.name, one.kind), []).append(one)
    return [
        Estimate(settings, name, kind, len(values), mean, *_interval_of(name, values))
        for (settings, name, kind), values in found.items()
        for mean in [_mean_of(values)]
    ]


def _mean_of(values: Sequence[MeasuredValue]) -> float:
    total = sum(one.count for one in values)
    if total:
        return math.fsum(one.value * one.count for one in values) / total
    return statistics.fmean(one.value for one in values)


def _interval_of(name: str, values: Sequence[MeasuredValue]) -> Interval:
    if all(one.count for one in values):
        good = [one.value * one.count for one in values]
        return share_interval(good, [one.count for one in values])
    spread = mean_share_interval if name.endswith("_share") else mean_interval
    return spread([one.value for one in values])


def write_tables(sweep: Sweep, found: Sequence[Estimate]) -> None:
    """``sweep.csv``, a row for each estimate, and ``runs.csv``, a row for each run; both as Parquet
    as well."""
    write_table(sweep.path / ESTIMATES, estimate_columns(sweep, found), [_METHOD])
    write_table(sweep.path / RUNS, run_columns(sweep), [])


def estimate_columns(sweep: Sweep, found: Sequence[Estimate]) -> Columns:
    varied = [dict(one.settings) for one in found]
    columns: Columns = {key: [each.get(key, "") for each in varied] for key in sweep.vary}
    for field in fields(Estimate)[1:]:
        columns[field.name] = [getattr(one, field.name) for one in found]
    return columns


def run_columns(sweep: Sweep) -> Columns:
    """A row for each run: what was varied, its seed, and its measures, NaN where it has none."""
    runs = sweep.runs
    columns: Columns = {"run": [run.name for run in runs]}
    for key in sweep.vary:
        columns[key] = [dict(run.settings).get(key, "") for run in runs]
    columns["seed"] = [run.seed for run in runs]
    columns["trace_sha256"] = [run.trace_sha256 for run in runs]
    values = [_by_name(run) for run in runs]
    for name in dict.fromkeys(name for each in values for name in each):
        columns[name] = [each.get(name, math.nan) for each in values]
    return columns


def _by_name(run: SweptRun) -> Mapping[str, float]:
    found: dict[str, Any] = {}
    for one in run.measures:
        found[f"{one.kind}_{one.name}" if one.kind else one.name] = one.value
        if one.count:
            found[f"{one.kind}_count"] = float(one.count)
    return found


def estimates_as_text(found: Sequence[Estimate]) -> str:
    """For a terminal."""
    lines = []
    for one in found:
        where = " ".join(f"{key}={value}" for key, value in one.settings)
        what = f"{one.kind} {one.measure}".strip()
        lines.append(f"{where}  {what}: {estimate_as_text(one)}")
    return "\n".join(lines)


def estimate_as_text(one: Estimate) -> str:
    spread = "" if math.isnan(one.low) else f" [{one.low:.4g}, {one.high:.4g}]"
    return f"{one.mean:.4g}{spread} (n = {one.runs})"
