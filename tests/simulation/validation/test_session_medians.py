"""Places whose nodes die and are replaced: lives as they were asked for, lookups, and the table."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from simulations.lab.one_run.experiment import Experiment
from simulations.scenario import load
from simulations.validation.session_medians import Point, findings, table_of

SCENARIO = Path(__file__).parents[3] / "simulations" / "scenarios" / "sessions.toml"
NODES, MEDIAN_S, DURATION_S = 16, 45.0, 480.0
OVERRIDES = (
    f"run.nodes={NODES}",
    f"run.duration_s={DURATION_S} s",
    f"parameters.median_s={MEDIAN_S} s",
    "parameters.lookups_per_s=0.25",
)


def test_every_place_stays_taken_by_lives_of_that_median() -> None:
    scenario = load(SCENARIO, OVERRIDES)
    experiment = Experiment(scenario, 1, None, folder=SCENARIO.parent)
    experiment.recorder.keeps_samples = True
    summary = experiment.run()
    assert not summary["violations"]
    samples = experiment.recorder.samples
    up = [sample.value for sample in samples if sample.metric == "nodes_up"]
    assert set(up) == {NODES}
    died = summary["lives"] - NODES
    expected = NODES * DURATION_S / (MEDIAN_S / 0.6931)  # deaths, Poisson
    assert died == pytest.approx(expected, abs=4 * expected**0.5)
    assert summary["operations"]["lookup"]["ok_share"] > 0.9
    sent = [sample.value for sample in samples if sample.metric == "sent_bytes_per_node_s"]
    assert median(sent) > 0


def point(median_min: float, ok: int) -> Point:
    return Point(median_min, 10, ok, [0.1 * n for n in range(1, ok + 1)], 512.0, 0)


def test_the_table_has_a_line_a_point() -> None:
    lines = table_of([point(1, 8), point(23, 10)]).splitlines()
    assert "median life" in lines[0]
    assert lines[1].split()[:4] == ["1", "min", "10", "0.8000"]
    assert lines[2].split()[-1] == "512"


def test_most_lookups_must_succeed_where_those_of_others_failed() -> None:
    assert all(finding.holds for finding in findings([point(23, 6)]))
    assert not all(finding.holds for finding in findings([point(23, 4)]))
