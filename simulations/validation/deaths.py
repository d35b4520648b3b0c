"""Lookups right after many nodes died, with and without loss, beside what is wanted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import ProgressDisplay
from simulations.scenario import load
from simulations.validation.findings import Finding

_RECALL_MIN = 0.99
_COLUMNS = (
    "took_mean", "took_p50", "took_p95", "recall", "dead_found", "requests_per_lookup",
    "datagrams_per_lookup",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deaths:
    """``dead`` and ``loss`` in per cent; ``high_ms`` one way at most; bounds of measures."""

    dead: int
    loss: int = 0
    high_ms: int = 150
    most: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.dead} % dead, {self.loss} % lost, 20-{self.high_ms} ms"


ROWS = (
    Deaths(0, most={"took_mean": 0.48}),
    Deaths(20, most={"took_mean": 0.9, "took_p95": 1.3}),
    Deaths(40, most={"took_p95": 2.0}),
    Deaths(0, loss=3, most={"took_mean": 0.7}),
    Deaths(20, loss=3, most={"took_mean": 1.1}),
    Deaths(20, high_ms=300, most={"took_mean": 1.8}),
)


@dataclass(frozen=True, slots=True)
class AfterDeaths:
    """The measures of one row in one world."""

    row: Deaths
    seed: int
    values: Mapping[str, float]
    violations: int


def measure(
    path: Path, row: Deaths, seed: int, progress: ProgressDisplay | None, nodes: int = 1000
) -> AfterDeaths:
    """One row of the scenario at ``path``."""
    values = {
        "run.seed": seed,
        "run.nodes": nodes,
        "network.loss": f'"{row.loss} %"',
        "network.high_s": f'"{row.high_ms} ms"',
        "parameters.dead": f'"{row.dead} %"',
    }
    scenario = load(path, [f"{key}={value}" for key, value in values.items()])
    experiment = Experiment(scenario, seed, None, folder=path.parent, progress=progress)
    summary = experiment.run()
    told = {name: each["values"][""] for name, each in summary["measures"].items()}
    return AfterDeaths(row, seed, told, len(summary["violations"]))


def table_of(found: Sequence[AfterDeaths]) -> str:
    """For a terminal."""
    width = max(len(each.row.name) for each in found)
    head = " ".join(f"{name.removesuffix('_per_lookup'):>10}" for name in _COLUMNS)
    lines = [f"{'':{width}} {'seed':>5} {head}"]
    lines += [
        f"{each.row.name:{width}} {each.seed:>5} "
        + " ".join(f"{each.values[name]:>10.4g}" for name in _COLUMNS)
        for each in found
    ]
    return "\n".join(lines)


def findings(found: Sequence[AfterDeaths]) -> list[Finding]:
    """Each row at its worst seed, beside what is wanted."""
    violations = sum(each.violations for each in found)
    dead = sum(each.values["dead_found"] for each in found)
    judged = [
        Finding("checkers' findings", violations, 0, "", high=0),
        Finding("dead nodes found", dead, 0, "", high=0),
    ]
    for row in dict.fromkeys(each.row.name for each in found):
        of_row = [each for each in found if each.row.name == row]
        recall = min(each.values["recall"] for each in of_row)
        judged.append(Finding.at_least(f"{row}: recall", recall, _RECALL_MIN, "wanted"))
        for name, most in of_row[0].row.most.items():
            worst = max(each.values[name] for each in of_row)
            judged.append(Finding(f"{row}: {name}, s", worst, most, "wanted", high=most))
    return judged
