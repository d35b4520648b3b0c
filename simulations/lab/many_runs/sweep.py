"""What came out of several runs of one scenario: means over seeds, with confidence intervals.

A folder of runs has ``sweep.json``, which says what was varied and with which values each run was
made.  One run is no evidence (Jansen et al. 2021): an interval needs two, and ten are better.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from simulations.errors import ScenarioError
from simulations.lab.many_runs.branches import Branch
from simulations.results import run_data
from simulations.results.run_data import RunData
from simulations.scenario import from_tables

_PLAN, _TABLE = "sweep.json", "sweep.csv"
REPEATED = ("run.seed", "run.future")  # what tells runs of one setting apart
# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_METHOD = "# low, high: 95 % confidence by Student's t over runs; of shares, on their logit\n"
Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of one measure over the runs of one setting; ``low`` and ``high`` bound it with
    95 % confidence, and are NaN for a single run."""

    settings: Settings
    measure: str
    kind: str
    runs: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """``vary``: the keys that differ and their values as written, in order."""

    path: Path
    vary: dict[str, list[str]]
    runs: list[tuple[Settings, RunData]]
    missing: int

    def value(self, key: str, written: str) -> Any:
        """What the scenario makes of it: seconds, bytes, a share, a word."""
        section, _, name = key.partition(".")
        scenario = from_tables(self.runs[0][1].scenario, [f"{key}={written}"])
        return getattr(getattr(scenario, section), name, written)


def folder_of(number: int) -> str:
    """The name of the folder of the so-manieth run, from 0."""
    return f"{number + 1:03}"


def write_plan(path: Path, ways: Sequence[Branch]) -> None:
    """Make the folder of runs; raises ScenarioError if there is something in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ScenarioError(f"{path} is not empty: choose another folder")
        plan = {folder_of(number): list(way.settings) for number, way in enumerate(ways)}
        (path / _PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"cannot write to {path}: {error}") from error


def is_sweep(path: Path) -> bool:
    return (path / _PLAN).exists()


def load(path: Path) -> Sweep:
    """Read a folder of runs; those that were not finished are left out and counted."""
    try:
        plan: dict[str, list[str]] = json.loads((path / _PLAN).read_text(encoding="utf-8"))
        done: list[tuple[Settings, RunData]] = []
        vary: dict[str, list[str]] = {}
        for name, assignments in plan.items():
            settings = tuple(_parted(one) for one in assignments if _varies(one))
            for key, value in settings:
                known = vary.setdefault(key, [])
                known += [value] if value not in known else []
            summary = path / name / "summary.json"
            run = run_data.load(path / name) if summary.exists() else None
            if run is not None and not run.summary["interrupted"] and not run.summary["failed"]:
                done.append((settings, run))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ScenarioError(f"{path} is not a folder of runs: {error}") from error
    if not done:
        raise ScenarioError(f"{path}: no run was finished")
    return Sweep(path, vary, done, len(plan) - len(done))


def _parted(assignment: str) -> tuple[str, str]:
    key, _, value = assignment.partition("=")
    return key, value


def _varies(assignment: str) -> bool:
    return _parted(assignment)[0] not in REPEATED


# --- estimates ------------------------------------------------------------------------------


def estimates(sweep: Sweep) -> list[Estimate]:
    """Every measure of every setting, in order of the settings."""
    found: dict[tuple[Settings, str, str], list[float]] = {}
    for settings, run in sweep.runs:
        for measure, kind, value in measures(run):
            found.setdefault((settings, measure, kind), []).append(value)
    return [
        Estimate(settings, measure, kind, len(values), *_interval_of(measure, values))
        for (settings, measure, kind), values in found.items()
    ]


def measures(run: RunData) -> Iterable[tuple[str, str, float]]:
    """(measure, kind of operation, value) of one run."""
    for kind, one in run.summary["operations"].items():
        yield "ok_share", kind, one["ok_share"]
        for quantile in ("p50", "p95"):
            if quantile in one["latency_s"]:
                yield f"latency_{quantile}_s", kind, one["latency_s"][quantile]
        if "mean" in one["hops"]:
            yield "hops_mean", kind, one["hops"]["mean"]
        if "mean" in one["queries"]:
            yield "queries_mean", kind, one["queries"]["mean"]
    sent = [sample.value for sample in run.metric("datagrams_per_node_s")]
    if sent:
        yield "datagrams_per_node_s", "", statistics.fmean(sent)
    for measure, value in run.summary.get("attack", {}).get("measures", {}).items():
        yield measure, "", value
    for measure, one in run.summary["measures"].items():
        for label, value in one["values"].items():
            yield measure, label, value
    yield "violations", "", len(run.summary["violations"])


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and its 95 % confidence interval, by Student's t."""
    mean, degrees = statistics.fmean(values), len(values) - 1
    if not degrees:
        return mean, math.nan, math.nan
    t = _T95[degrees - 1] if degrees <= len(_T95) else 1.96 + 2.42 / degrees
    half = t * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def share_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of shares and its 95 % confidence interval, which stays in [0, 1]: Student's t for
    the logit of the mean, by the delta method.  Shares that are all 0 or all 1 vary by nothing."""
    mean, low, high = interval(values)
    if math.isnan(low) or not 0 < mean < 1:
        return mean, low, high
    centre, half = math.log(mean / (1 - mean)), (high - mean) / (mean * (1 - mean))
    return mean, _share_of(centre - half), _share_of(centre + half)


def _share_of(logit: float) -> float:
    return (1 + math.tanh(logit / 2)) / 2  # 1 / (1 + exp(-logit)), which overflows


def _interval_of(measure: str, values: Sequence[float]) -> tuple[float, float, float]:
    return (share_interval if measure.endswith("_share") else interval)(values)


def write_table(path: Path, found: Sequence[Estimate]) -> Path:
    """A row for each estimate."""
    table = path / _TABLE
    with table.open("w", encoding="utf-8", newline="") as file:
        file.write(_METHOD)
        rows = csv.writer(file, lineterminator="\n")
        keys = [key for key, _ in found[0].settings]
        rows.writerow([*keys, *(field.name for field in fields(Estimate)[1:])])
        for one in found:
            values = (format(v, ".9g") if isinstance(v, float) else v for v in astuple(one)[1:])
            rows.writerow([*(value for _, value in one.settings), *values])
    return table


def estimates_as_text(found: Sequence[Estimate]) -> str:
    """The same for a terminal."""
    lines = []
    for one in found:
        where = " ".join(f"{key}={value}" for key, value in one.settings)
        what = f"{one.kind} {one.measure}".strip()
        lines.append(f"{where}  {what}: {estimate_as_text(one)}")
    return "\n".join(lines)


def estimate_as_text(one: Estimate) -> str:
    spread = "" if math.isnan(one.low) else f" [{one.low:.4g}, {one.high:.4g}]"
    return f"{one.mean:.4g}{spread} (n = {one.runs})"
