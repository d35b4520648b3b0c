"""What came out of several runs of one scenario, read back: of each run only its measures, so that
a thousand runs fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.errors import ScenarioError
from simulations.lab.many_runs.one import finished
from simulations.lab.many_runs.plan import REPEATED, read_plan
from simulations.results import run_data
from simulations.scenario import from_tables

VIOLATIONS = "violations"  # of checkers
SERVICE_VIOLATED, ASKED_VIOLATED = "service_violated", "asked_violated"  # how many figures
Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    """One value of a run.  Of a share of operations, ``count`` tells of how many."""

    name: str
    kind: str
    value: float
    count: int = 0


@dataclass(frozen=True, slots=True)
class SweptRun:
    """A finished run: the varied values as written, and what came out."""

    name: str
    settings: Settings
    seed: int
    trace_sha256: str
    measures: tuple[MeasuredValue, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """``vary``: the keys that differ and their values as written, in order; ``scenario`` and
    ``summary`` are of the first run."""

    path: Path
    vary: Mapping[str, list[str]]
    runs: list[SweptRun]
    missing: int
    scenario: Mapping[str, Any]
    summary: Mapping[str, Any]

    def value(self, key: str, written: str) -> Any:
        """What the scenario makes of it: seconds, bytes, a share, a word."""
        return from_tables(self.scenario, [f"{key}={written}"]).value(key, written)


def load(path: Path) -> Sweep:
    """Read a folder of runs; those that were not finished are left out and counted."""
    plan, vary, done = read_plan(path), dict[str, list[str]](), list[SweptRun]()
    first: Mapping[str, Any] = {}
    for name, assignments in plan.runs.items():
        settings = tuple(_parted(one) for one in assignments if _parted(one)[0] not in REPEATED)
        for key, value in settings:
            known = vary.setdefault(key, [])
            known += [value] if value not in known else []
        summary = finished(path / name)
        if summary:
            first = first or summary
            done.append(_swept(path / name, settings, summary))
    if not done:
        raise ScenarioError(f"{path}: no run was finished")
    scenario = run_data.scenario_of(path / done[0].name)
    return Sweep(path, vary, done, len(plan.runs) - len(done), scenario, first)


def of_one_run(path: Path) -> Sweep:
    """A run's folder as a sweep of itself; raises ScenarioError if it is no finished run."""
    summary = finished(path)
    if not summary:
        raise ScenarioError(f"{path} is not the folder of a finished run")
    return Sweep(path, {}, [_swept(path, (), summary)], 0, run_data.scenario_of(path), summary)


def _parted(assignment: str) -> tuple[str, str]:
    key, _, value = assignment.partition("=")
    return key, value


def _swept(path: Path, settings: Settings, summary: Mapping[str, Any]) -> SweptRun:
    try:
        found = tuple(measures(summary))
        trace = str(summary.get("trace_sha256", ""))
        return SweptRun(path.name, settings, int(summary["seed"]), trace, found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {error!r}") from error


def measures(summary: Mapping[str, Any]) -> Iterator[MeasuredValue]:
    """Of one run, from its summary; its module's own as well."""
    for kind, one in summary["operations"].items():
        yield MeasuredValue("ok_share", kind, float(one["ok_share"]), int(one["count"]))
        for quantile in ("p50", "p95"):
            if quantile in one["latency_s"]:
                yield MeasuredValue(
                    f"latency_{quantile}_s", kind, float(one["latency_s"][quantile])
                )
        for what in ("hops", "queries"):
            if "mean" in one[what]:
                yield MeasuredValue(f"{what}_mean", kind, float(one[what]["mean"]))
    for section in (summary.get("means", {}), summary.get("attack", {}).get("measures", {})):
        for name, value in section.items():
            yield MeasuredValue(name, "", float(value))
    for name, one in summary.get("measures", {}).items():
        for label, value in one["values"].items():
            yield MeasuredValue(name, label, float(value))
    yield MeasuredValue(VIOLATIONS, "", float(len(summary["violations"])))
    service, asked = summary.get("service", {}), summary.get("asked", {})
    if service.get("judged"):
        yield MeasuredValue(SERVICE_VIOLATED, "", float(len(service["violated"])))
    if asked.get("hold") or asked.get("violated"):
        yield MeasuredValue(ASKED_VIOLATED, "", float(len(asked["violated"])))
