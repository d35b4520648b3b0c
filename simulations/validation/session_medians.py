"""Lookups beside the median life of a node, as Rhea et al. 2004 held DHTs against each other."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import ProgressDisplay
from simulations.scenario import load
from simulations.validation.findings import Finding

MEDIANS_MIN = (
    1,
    2,
    4,
    8,
    16,
    23,
    32,
    64,
    128,
)  # Rhea et al., figures; 23 is where FreePastry fails
_LIVES_BEFORE, _LIVES_JUDGED = 2, 2  # medians that pass before lookups count, and while they do
_JUDGED_MIN_S = 1200.0
_RHEA = "Rhea et al. 2004"


@dataclass(frozen=True, slots=True)
class Point:
    """Lookups of a network whose nodes live so long in the median, once its tables show it;
    ``latency_s`` are of those that succeeded, in order."""

    median_min: float
    lookups: int
    ok: int
    latency_s: Sequence[float]
    bytes_per_node_s: float
    violations: int

    @property
    def ok_share(self) -> float:
        return self.ok / self.lookups if self.lookups else 0.0

    def quantile_s(self, share: float) -> float:
        return self.latency_s[min(len(self.latency_s) - 1, int(share * len(self.latency_s)))]


def measure(path: Path, median_min: float, seed: int, progress: ProgressDisplay | None) -> Point:
    """One point of the scenario at ``path``."""
    median_s = 60.0 * median_min
    before_s, judged_s = _LIVES_BEFORE * median_s, max(_LIVES_JUDGED * median_s, _JUDGED_MIN_S)
    values = {
        "run.seed": seed,
        "run.duration_s": f'"{before_s + judged_s} s"',
        "parameters.median_s": f'"{median_s} s"',
    }
    scenario = load(path, [f"{key}={value}" for key, value in values.items()])
    experiment = Experiment(scenario, seed, None, folder=path.parent, progress=progress)
    experiment.recorder.keeps_samples = True
    summary = experiment.run()
    begun_s = scenario.run.settle_s + before_s
    rows = [row for row in experiment.recorder.rows if row.start_s >= begun_s]
    sent = [
        sample.value
        for sample in experiment.recorder.samples
        if sample.metric == "sent_bytes_per_node_s" and sample.time_s >= begun_s
    ]
    took = sorted(row.stop_s - row.start_s for row in rows if row.ok)
    ok, violations = len(took), len(summary["violations"])
    return Point(median_min, len(rows), ok, took, statistics.fmean(sent), violations)


def table_of(points: Sequence[Point]) -> str:
    """For a terminal."""
    head = f"{'median life':>12} {'lookups':>8} {'success':>8} {'mean':>8} {'p50':>8} {'p95':>8}"
    lines = [f"{head} {'bytes a node and s':>19}"]
    for point in points:
        mean = statistics.fmean(point.latency_s)
        times = (mean, point.quantile_s(0.5), point.quantile_s(0.95))
        lines.append(
            f"{point.median_min:>8g} min {point.lookups:>8} {point.ok_share:>8.4f} "
            + " ".join(f"{each:>6.2f} s" for each in times)
            + f" {point.bytes_per_node_s:>19.0f}"
        )
    return "\n".join(lines)


def findings(points: Sequence[Point]) -> list[Finding]:
    """What the paper found of others, beside what these points are."""
    found = [
        Finding("checkers' findings", sum(point.violations for point in points), 0, "", high=0)
    ]
    found += [
        Finding.at_least(f"success at {point.median_min:g} min", point.ok_share, 0.5, _FAILS)
        for point in points
        if point.median_min == 23
    ]
    return found


_FAILS = f"{_RHEA}: FreePastry fails most"
