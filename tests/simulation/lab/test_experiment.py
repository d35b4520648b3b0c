"""Whole runs: deterministic, checked, written down, repeatable from their folder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulations.__main__ import main
from simulations.checks.checkers import CHECKERS
from simulations.commands.common import SCENARIOS
from simulations.errors import ModuleFailed, SimulationError
from simulations.events.fault_schedule import Fault, FaultKind
from simulations.lab.many_runs import explore
from simulations.lab.one_run import experiment as experiment_module
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import Status
from simulations.results.run_data import load
from simulations.results.run_folder import RunFolder
from simulations.scenario import Scenario, from_tables
from simulations.scenario import load as load_scenario

HARD = {
    "run": {"nodes": 25, "duration_s": "6 min", "clock_skew_s": "20 s", "seed": 3},
    "network": {"loss": 0.02, "duplicate": 0.02, "reorder": 0.02, "undiallable": 0.1},
    "churn": {
        "preset": "custom",
        "session_median_s": "5 min",
        "absence_median_s": "2 min",
        "always_on": 0.3,
        "keep_data": 0.8,
    },
    "faults": {
        "crashes_per_h": 6.0,
        "lost_writes_per_h": 6.0,
        "disk_full_per_h": 4.0,
        "slow_disk_per_h": 4.0,
        "bit_rot_per_h": 2.0,
        "sleeps_per_h": 4.0,
        "asleep_s": "2 min",
        "drops_per_h": 10.0,
        "partitions_per_h": 6.0,
        "lying": 0.1,
        "lasting_s": "1 min",
    },
    "workload": {"kind": "mix", "operations_per_s": 0.3, "objects": 40},
}


def summary_of(
    tables: dict[str, Any], *overrides: str, faults: list[Fault] | None = None
) -> dict[str, Any]:
    scenario = from_tables(tables, overrides)
    return Experiment(scenario, scenario.run.seed, None, folder=Path(), faults=faults).run()


@pytest.fixture(scope="module")
def hard() -> dict[str, Any]:
    """The summary of the hard world, which several tests look at."""
    return summary_of(HARD)


def test_a_hard_world_keeps_its_promises(hard: dict[str, Any]) -> None:
    assert hard["violations"] == []
    assert hard["operations"]["put"]["ok_share"] > 0.5
    assert hard["lives"] > 25


def test_one_seed_has_one_digest_and_another_has_another() -> None:
    tables = {"run": {"nodes": 5, "duration_s": "1 min"}}
    digests = [summary_of(tables, f"run.seed={seed}")["trace_sha256"] for seed in (3, 3, 4)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_digest_is_the_same_in_another_process(tmp_path: Path, hard: dict[str, Any]) -> None:
    scenario = tmp_path / "hard.json"
    scenario.write_text(json.dumps(HARD))
    program = (
        "import json, sys; from tests.simulation.lab.test_experiment import summary_of;"
        "print(summary_of(json.load(open(sys.argv[1])))['trace_sha256'])"
    )
    digest = subprocess.run(
        [sys.executable, "-c", program, str(scenario)],
        env={**os.environ, "PYTHONHASHSEED": "1"},  # this process has another, drawn at random
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert digest.strip() == hard["trace_sha256"]


def test_lost_promises_are_found() -> None:
    """Disks that rot behind the checkers' back: each object must be reported lost."""
    quiet = {
        "run": {"nodes": 5, "duration_s": "5 min", "replicas": 2},
        "workload": HARD["workload"],
    }
    scenario = from_tables(quiet)
    experiment = Experiment(scenario, 1, None, folder=Path())
    for member in experiment.world.population.members:
        experiment.world.loop.call_later(200.0, member.disk.wipe)
    found = experiment.run()["violations"]
    assert any("nothing_lost" in violation for violation in found)


def test_lies_never_reach_a_user() -> None:
    lies = [Fault(0.0, FaultKind.LIE, node, 600.0, 0) for node in range(0, 10, 2)]
    quiet = {"run": {"nodes": 10, "duration_s": "5 min"}, "workload": HARD["workload"]}
    assert summary_of(quiet, faults=lies)["violations"] == []


@pytest.mark.parametrize("kind", ["flash_crowd", "reprovide", "lookups"])
def test_other_workloads_succeed_in_a_quiet_world(kind: str) -> None:
    found = summary_of(
        {"run": {"nodes": 20, "duration_s": "5 min"}},
        f"workload.kind={kind}",
        "workload.objects=10",
        "workload.crowd=10",
    )
    assert found["violations"] == []
    assert all(one["ok_share"] == 1.0 for one in found["operations"].values())
    assert found["operations"]


def _small(path: Path) -> list[str]:
    """Few nodes and objects for a short time; who attacks begins at the same share of it, and so
    does what counts."""
    whole, duration_s = load_scenario(path), 180.0
    burn_in_s = duration_s * whole.run.burn_in / whole.run.duration_s
    settings = ["run.nodes=16", f"run.duration_s={duration_s} s", f"run.burn_in={burn_in_s} s"]
    if whole.adversary.attacks:
        at_s = duration_s * whole.adversary.at_s / whole.run.duration_s
        settings.append(f"adversary.at_s={at_s} s")
    few, given = {"objects": 8, "blocks": 64, "keys": 20}, whole.raw.get("parameters", {})
    return settings + [f"parameters.{name}={few[name]}" for name in sorted(few.keys() & given)]


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_runs_small(path: Path) -> None:
    scenario = load_scenario(path, _small(path))
    assert scenario.run.scenario == path.stem
    assert scenario.run.description
    summary = Experiment(scenario, 1, None, folder=path.parent).run()
    assert summary["violations"] == []
    assert summary["operations"] or summary["measures"]


def test_joins_at_once_share_the_time(tmp_path: Path) -> None:
    tables = {"run": {"nodes": 15, "duration_s": "10 s", "settle_s": "0 s", "warm_start": False}}
    ends_s = []
    for at_once in (1, 5):
        scenario = from_tables(tables, [f"run.joins_at_once={at_once}"])
        with RunFolder(tmp_path / str(at_once), scenario, 1) as folder:
            Experiment(scenario, 1, folder, folder=Path()).run()
        joins = load(tmp_path / str(at_once)).operations
        assert len(joins) == 15
        assert all(join.ok for join in joins)
        ends_s.append(max(join.stop_s for join in joins))
    assert ends_s[1] < ends_s[0] / 2


def test_brand_new_machines_arrive_serve_and_go() -> None:
    tables = {
        "run": {"nodes": 10, "duration_s": "5 min"},
        "workload": {"kind": "mix", "operations_per_s": 0.3, "objects": 8, "size_sigma": 0.0},
    }
    growing = ["churn.arrivals=poisson", "churn.arrivals_per_h=240"]
    grown = summary_of(tables, *growing)
    assert 22 <= grown["lives"] <= 40
    assert grown["violations"] == []
    assert grown["operations"]["get"]["ok_share"] > 0.9
    short = [*growing, "run.duration_s=45 s"]
    assert summary_of(tables, *short)["trace_sha256"] == summary_of(tables, *short)["trace_sha256"]
    passing = ["churn.preset=custom", "churn.always_on=1", "churn.session_median_s=1 min"]
    experiment = Experiment(from_tables(tables, [*growing, *passing]), 1, None, folder=Path())
    up, world = list[int](), experiment.world
    for at_s in range(61, 361, 30):
        world.loop.call_later(at_s, lambda: up.append(len(world.population.up())))
    assert experiment.run()["lives"] > 20
    assert max(up) < 20, "they come, but they do not stay"
    assert max(up) > 10


def test_a_kind_of_message_can_be_dropped() -> None:
    tables = {"run": {"nodes": 20, "duration_s": "3 min"}, "workload": {"kind": "lookups"}}
    drops = ["faults.drops_per_h=60", "faults.lasting_s=2 min", "faults.drop_kind="]
    shares = [
        summary_of(tables, *drops[:2], drops[2] + kind)["operations"]["lookup"]["ok_share"]
        for kind in ("add_provider", "answer")
    ]
    assert shares[0] == 1.0
    assert shares[1] < 0.8


# --- the command line -----------------------------------------------------------------------


def test_run_replay_compare_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--nodes", "12", "--set", "run.duration_s=2 min"]
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    assert main(["run", "partition", *small, "--out", one, "--trace"]) == 0
    assert "trace sha256" in capsys.readouterr().out
    assert main(["replay", one]) == 0
    assert "the same trace" in capsys.readouterr().out
    assert main(["run", "partition", *small, "--out", one]) == 2, "no run is ever overwritten"
    assert main(["run", one, "--out", str(tmp_path / "again")]) == 0
    again = load(tmp_path / "again").summary
    assert again["trace_sha256"] == load(tmp_path / "one").summary["trace_sha256"]
    assert main(["run", "partition", *small, "--seed", "2", "--out", other]) == 0
    assert main(["compare", one, one]) == 0
    assert main(["compare", one, other]) == 1
    assert "trace_sha256" in capsys.readouterr().out
    assert main(["report", one]) == 0
    assert (tmp_path / "one" / "report.html").exists()
    data = load(tmp_path / "one")
    assert {sample.metric for sample in data.samples} >= {"nodes_up", "bucket_fill", "messages"}
    assert len((tmp_path / "one" / "trace.txt").read_text().splitlines()) > 500


def test_list_shows_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(path.stem in shown for path in SCENARIOS.glob("*.toml"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "nowhere"],
        ["run", "join", "--set", "network.los=1"],
        ["replay", "nowhere"],
        ["compare", "nowhere", "nowhere"],
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [["validate", "--nodes", "1"], ["validate", "--lookups", "0"], ["explore", "--seeds", "0"]],
)
def test_numbers_too_small_to_measure_anything_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "is less than" in capsys.readouterr().err


def test_an_interrupted_run_leaves_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = from_tables(HARD)
    with RunFolder(tmp_path, scenario, 3) as folder:
        experiment = Experiment(scenario, 3, folder, folder=Path())

        def interrupt() -> None:
            raise KeyboardInterrupt

        experiment.world.loop.call_later(150.0, interrupt)
        summary = experiment.run()
    assert summary["interrupted"]
    left = load(tmp_path)
    assert left.summary["virtual_s"] == pytest.approx(150, abs=1)
    assert left.metric("node_sent_bytes_per_s"), "what is measured at the end is there as well"
    assert main(["replay", str(tmp_path)]) == 2
    assert "interrupted" in capsys.readouterr().err


def test_a_run_that_fails_leaves_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = from_tables({"run": {"nodes": 3}})
    with RunFolder(tmp_path, scenario, 3) as folder:
        experiment = Experiment(scenario, 3, folder, folder=Path())

        async def fail() -> None:
            raise SimulationError("stuck")

        monkeypatch.setattr(experiment, "_work", fail)
        with pytest.raises(SimulationError):
            experiment.run()
    assert load(tmp_path).summary["failed"] == "SimulationError: stuck"


def test_a_module_that_fails_has_not_finished_a_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def operations(parameters, nodes, duration_s, seed):\n    yield 1 / 0\n"
    )
    scenario = from_tables({"run": {"nodes": 3, "duration_s": "1 min", "module": "own.py"}})
    with RunFolder(tmp_path / "run", scenario, 3, tmp_path) as folder:
        experiment = Experiment(scenario, 3, folder, folder=tmp_path)
        with pytest.raises(ModuleFailed, match="ZeroDivisionError"):
            experiment.run()
    assert "line 2, in operations: Zero" in load(tmp_path / "run").summary["failed"]


def test_a_task_that_failed_and_was_forgotten_is_told() -> None:
    """Its error is told when its memory goes, which may be after the end of the run."""
    experiment = Experiment(
        from_tables({"run": {"nodes": 3, "duration_s": "1 min"}}), 1, None, folder=Path()
    )

    async def fail() -> None:
        _cycle = asyncio.current_task()  # task, error, frame, task
        raise RuntimeError("unseen")

    experiment.world.loop.call_later(120.0, lambda: experiment.world.loop.create_task(fail()))
    violations = experiment.run()["violations"]
    assert len(violations) == 1
    assert "no_unseen_errors: RuntimeError('unseen')" in violations[0]


def test_operations_that_the_end_cut_off_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = from_tables(
        {"run": {"nodes": 3, "duration_s": "1 min"}, "workload": {"kind": "lookups"}}
    )
    assert Experiment(scenario, 1, None, folder=Path()).run()["operations_cut_off"] == 0
    experiment = Experiment(scenario, 1, None, folder=Path())

    async def hang(operation: object, number: int) -> None:
        await asyncio.sleep(1e6)

    monkeypatch.setattr(experiment.world.users, "_do", hang)
    summary = experiment.run()
    assert summary["operations"] == {}
    assert summary["operations_cut_off"] > 30


def test_an_operation_that_fails_while_it_is_cut_off_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = Experiment(
        from_tables({"run": {"nodes": 3, "duration_s": "1 min"}, "workload": {"kind": "lookups"}}),
        1,
        None,
        folder=Path(),
    )

    async def hang(operation: object, number: int) -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            raise KeyError("while it was cancelled")

    monkeypatch.setattr(experiment.world.users, "_do", hang)
    violations = experiment.run()["violations"]
    assert violations
    assert all("no_unseen_errors: KeyError('while" in violation for violation in violations)


def test_each_checker_tells_what_it_saw_and_what_it_cannot_see() -> None:
    summary = summary_of({"run": {"nodes": 5, "duration_s": "1 min"}})
    assert summary["looks_of_checkers"] > 12
    assert set(summary["checkers"]) == {checker.name for checker in CHECKERS}
    for told in summary["checkers"].values():
        assert told["violations"] == 0
        assert told["holds"]
        assert told["does_not_check"]


def test_a_run_is_watched_from_its_first_join_without_changing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(experiment_module, "_TIMERS_PER_LOOK", 16)
    tables = {"run": {"nodes": 10, "duration_s": "1 h", "warm_start": False}}
    seen: list[Status] = []
    scenario = from_tables(tables)
    experiment = Experiment(
        scenario, 1, None, folder=Path(), progress=lambda status: seen.append(status())
    )
    digest = experiment.run()["trace_sha256"]
    assert digest == summary_of(tables)["trace_sha256"]
    shares = [status.share for status in seen if status.begun_s is not None]
    assert any(status.begun_s is None and 0 < status.up < 10 for status in seen)
    assert shares == sorted(shares)
    assert shares[-1] > 0.5


# --- the seed explorer ----------------------------------------------------------------------


def test_worlds_of_the_explorer_are_given_by_the_seed() -> None:
    worlds = [explore.world_of(seed) for seed in range(30)]
    assert worlds == [explore.world_of(seed) for seed in range(30)]
    assert len({world.sha256() for world in worlds}) == 30
    assert all(20 <= world.run.nodes <= 60 for world in worlds)


def test_a_failure_shrinks_to_what_causes_it_and_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = [Fault(float(n), FaultKind.CRASH, n % 20, 1.0, n) for n in range(40)]
    culprit = faults[13]

    def run(scenario: Scenario, kept: list[Fault] | None) -> explore.FailingWorld | None:
        if kept is None or culprit not in kept:
            return None
        return explore.FailingWorld(1, scenario, kept, "it broke", "made_up")

    first = run(
        from_tables({"run": {"nodes": 20, "duration_s": "1 min", "settle_s": "1 s"}}), faults
    )
    assert first is not None
    small = explore.shrink(first, run)
    assert small.faults == [culprit]
    assert small.scenario.run.nodes == 14  # node 13 must be there
    folder = explore.keep(small, tmp_path)
    assert main(["replay", str(folder)]) == 0
    assert "the same trace" in capsys.readouterr().out


def test_ctrl_c_ends_the_search_and_not_only_its_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Experiment, "run", lambda self: {"interrupted": True, "violations": []})
    assert main(["explore", "--seeds", "2"]) == 130
    with pytest.raises(KeyboardInterrupt):
        explore.try_seed(1)


def test_a_failing_world_is_told_with_its_first_violation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Experiment) -> dict[str, Any]:
        raise SimulationError("stuck")

    monkeypatch.setattr(Experiment, "run", broken)
    failure = explore.try_seed(1)
    assert failure is not None
    assert (failure.seed, failure.what) == (1, "SimulationError: stuck")
