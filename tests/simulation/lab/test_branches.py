"""Branches of one world: the same runs as from the start, and nothing else may vary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulations.__main__ import main
from simulations.errors import ScenarioError
from simulations.lab.many_runs.branches import branches, fork_each
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.futures import check_branch
from simulations.results.run_data import load
from simulations.scenario import from_tables

WORLD: dict[str, Any] = {
    "run": {"nodes": 12, "duration_s": "2 min"},
    "churn": {"preset": "custom", "session_median_s": "5 min", "absence_median_s": "2 min"},
    "workload": {"kind": "lookups", "operations_per_s": 0.5},
}


def digest_of_branch(tables: dict[str, Any], *overrides: str) -> str:
    world, branch = from_tables(tables), from_tables(tables, overrides)
    experiment = Experiment(world, world.run.seed, None, folder=Path())
    experiment.begin()
    experiment.branch(branch, None)
    return str(experiment.run()["trace_sha256"])


def digest_from_the_start(tables: dict[str, Any], *overrides: str) -> str:
    scenario = from_tables(tables, overrides)
    experiment = Experiment(scenario, scenario.run.seed, None, folder=Path())
    return str(experiment.run()["trace_sha256"])


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("run.future=3",),
        ("run.duration_s=1 min", "run.settle_s=10 s", "churn.leave=100 %", "churn.keep_data=0"),
        ("workload.kind=mix", "workload.objects=5", "faults.crashes_per_h=20", "faults.lying=20 %"),
    ],
)
def test_a_branch_is_a_run_from_the_start(warm: bool, overrides: tuple[str, ...]) -> None:
    tables = {**WORLD, "run": {**WORLD["run"], "warm_start": warm}}
    assert digest_of_branch(tables, *overrides) == digest_from_the_start(tables, *overrides)


def test_the_network_of_a_warm_world_may_turn_worse() -> None:
    overrides = ("network.loss=5 %", "network.reorder=5 %", "network.jitter=0")
    assert digest_of_branch(WORLD, *overrides) == digest_from_the_start(WORLD, *overrides)


def test_futures_differ_and_share_the_start() -> None:
    digests = {digest_of_branch(WORLD, f"run.future={future}") for future in range(3)}
    assert len(digests) == 3


@pytest.mark.parametrize(
    "override",
    ["run.nodes=13", "run.seed=2", "churn.preset=ipfs", "churn.always_on=50 %",
     "network.latency=fixed", "network.undiallable=10 %"],
)  # fmt: skip
def test_what_shapes_the_beginning_cannot_vary(override: str) -> None:
    with pytest.raises(ScenarioError, match=override.partition("=")[0]):
        check_branch(from_tables(WORLD), from_tables(WORLD, [override]))


def test_joining_nodes_have_the_network_as_it_is() -> None:
    world = from_tables(WORLD, ["run.warm_start=false"])
    with pytest.raises(ScenarioError, match=r"network\.loss"):
        branches(world, ["network.loss=0,1 %"], [])


def test_branches_are_all_combinations() -> None:
    ways = branches(from_tables(WORLD), ["faults.lying=0, 5 %", "churn.leave=0,1"], [1, 2])
    assert len(ways) == len({way.settings for way in ways}) == 8
    assert ways[5].settings == ("faults.lying=5 %", "churn.leave=0", "run.future=2")
    assert (ways[5].scenario.faults.lying, ways[5].scenario.run.future) == (0.05, 2)


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        (["faults.lying=0,5 %,0"], "faults.lying: a value stands twice"),
        (["faults.lying=0", "faults.lying=5 %"], "faults.lying is varied twice; once is enough"),
        (["run.future=1,2"], "run.future is varied twice; seeds or futures do that"),
    ],
)
def test_no_run_is_made_twice(vary: list[str], told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        branches(from_tables(WORLD), vary, [1, 2])


@pytest.mark.parametrize("jobs", [1, 3])
def test_copies_run_apart_and_their_exit_codes_come_back(jobs: int) -> None:
    changed: list[int] = []

    def work(number: int) -> int:
        changed.append(number)
        if number == 2:
            raise ValueError("on purpose")
        return 7 if len(changed) == 1 else 0

    assert fork_each(4, work, jobs) == [7, 7, 1, 7]
    assert changed == []


def test_branches_from_the_command_line_can_be_replayed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "world.toml"
    scenario.write_text(
        '[run]\nnodes = 12\nduration_s = "1 min"\n'
        '[workload]\nkind = "lookups"\noperations_per_s = 0.5\n'
    )
    out = tmp_path / "out"
    arguments = ["branch", str(scenario), "--vary", "network.loss=0,5 %", "--futures", "2"]
    assert main([*arguments, "--jobs", "2", "--out", str(out)]) == 0
    told = capfd.readouterr().out
    runs = [load(folder) for folder in sorted(out.glob("0*"))]
    assert len({run.summary["trace_sha256"] for run in runs}) == len(runs) == 4
    assert all(run.summary["trace_sha256"] in told for run in runs)
    assert json.dumps(runs[3].scenario["network"]) == '{"loss": "5 %"}'
    assert main(["replay", str(out / "004")]) == 0
    assert main(["branch", str(scenario), "--vary", "run.nodes=12,30"]) == 2


def test_operations_and_samples_tell_the_same_time(tmp_path: Path) -> None:
    scenario = tmp_path / "world.toml"
    scenario.write_text('[run]\nnodes = 10\nduration_s = "2 min"\n[workload]\nkind = "lookups"\n')
    assert main(["run", str(scenario), "--out", str(tmp_path / "out")]) == 0
    run = load(tmp_path / "out")
    times_s = [sample.time_s for sample in run.metric("nodes_up")]
    assert 60 < min(times_s) < 65, "after the minute in which the world settles"
    assert 60 < min(row.start_s for row in run.operations) < 75
    assert max(row.stop_s for row in run.operations) < max(times_s) < run.summary["virtual_s"]
