"""Sweeps: gone on with, refused to other code and other scenarios, read as tables."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.errors import ModuleFailed, ScenarioError
from simulations.lab.many_runs import cluster, plan
from simulations.lab.many_runs.one import PART, RunTask, do, finished, run_one
from simulations.lab.many_runs.sweeping import SweepOrder, folder_to_go_on_in
from simulations.notebook import load, sweep
from simulations.results import run_data
from simulations.results.rows import OPERATIONS_FILE, SAMPLES_FILE
from simulations.results.tables import parquet_beside
from simulations.scenario import Scenario, from_tables
from tests.source_tree import ROOT

WORLD = {"run": {"nodes": 10, "duration_s": "1 min"}, "workload": {"kind": "lookups"}}
# Fails, or ends its process, as long as a file is there that it removes.
TRIPPING = """
import os
from dataclasses import dataclass
from pathlib import Path
from simulations.settings import text

@dataclass(frozen=True, slots=True)
class Parameters:
    how: str = text()
    once: str = text()

def operations(parameters, nodes, duration_s, seed):
    once = Path(parameters.once)
    if once.exists():
        if parameters.how != "always":
            once.unlink()
        if parameters.how == "die":
            os._exit(1)
        raise RuntimeError("on purpose")
    return iter(())
"""


def tasks(out: Path, scenario: Scenario, seeds: int, **vary: str) -> list[RunTask]:
    axes = [f"{key.replace('__', '.')}={values}" for key, values in vary.items()]
    ways = SweepOrder(scenario, out.parent, axes, seeds).ways()
    joined = plan.joined_plan(out, scenario, ways, out.parent)
    return plan.tasks_of(joined, out, ways, out.parent)[0]


def test_a_scheduler_that_is_not_there_is_told() -> None:
    with pytest.raises(ScenarioError, match="--scheduler nonsense"), cluster.connected("nonsense"):
        pass


@pytest.mark.parametrize(
    ("values", "jobs", "told"),
    [
        (["2 %"], 0, "jobs: 0 is less than 1"),
        ("2 %", 1, "network.loss needs a list of values, not '2 %'"),
        ([], 1, "network.loss needs a list of values"),
    ],
)
def test_a_script_that_sweeps_nothing_is_told_at_once(
    tmp_path: Path, values: list[str], jobs: int, told: str
) -> None:
    """Nobody makes the runs of no process, and a string is a list of its letters."""
    out = tmp_path / "swept"
    with pytest.raises(ScenarioError, match=told):
        sweep("join", vary={"network.loss": values}, seeds=1, jobs=jobs, out=out)
    assert not out.exists()


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    """More seeds and values go on in the same folder; anything else is refused, or goes beside."""
    scenario, out = from_tables(WORLD), tmp_path / "out"
    first = tasks(out, scenario, 2)
    assert [task.name for task in first] == ["001", "002"]
    trace = do(first[0]).trace_sha256
    written = (out / "001" / "summary.json").stat().st_mtime_ns
    assert do(first[0]).trace_sha256 == trace, "by a worker that was lost before it could say so"
    assert (out / "001" / "summary.json").stat().st_mtime_ns == written
    (out / f"{PART}002-0").mkdir()
    assert [task.name for task in tasks(out, scenario, 3)] == ["002", "003"]
    assert not list(out.glob(f"{PART}*"))
    with pytest.raises(ScenarioError, match="of another scenario: choose another folder"):
        tasks(out, from_tables(WORLD, ["network.loss=1 %"]), 2)
    with pytest.raises(ScenarioError, match="other keys vary: choose another folder"):
        tasks(out, scenario, 2, network__loss="0")
    order = SweepOrder(scenario, tmp_path, [], 9)
    assert folder_to_go_on_in(out, order) == out
    assert folder_to_go_on_in(out, dataclasses.replace(order, vary=["network.loss=0"])) != out


def test_a_folder_of_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    tasks(out, from_tables(WORLD), 1)
    monkeypatch.setattr(plan, "code_digest", lambda: "other")
    with pytest.raises(ScenarioError, match="another version of the code"):
        tasks(out, from_tables(WORLD), 1)


def test_one_sweep_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with (
        plan.only_one(tmp_path),
        pytest.raises(ScenarioError, match="another sweep runs"),
        plan.only_one(tmp_path),
    ):
        pass


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tripping.py").write_text(TRIPPING)
    (tmp_path / "once").touch()
    parameters = {"how": "raise", "once": str(tmp_path / "once")}
    run = {"nodes": 10, "duration_s": "1 min", "module": "tripping.py"}
    scenario = from_tables({"run": run, "parameters": parameters})
    with pytest.raises(ModuleFailed, match="on purpose"):
        run_one(scenario, 1, tmp_path / "out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tripping.py"]
    summary = run_one(scenario, 1, tmp_path / "out", tmp_path)
    assert finished(tmp_path / "out")["trace_sha256"] == summary["trace_sha256"]
    with pytest.raises(ScenarioError, match="holds a run already"):
        run_one(scenario, 1, tmp_path / "out", tmp_path)


def test_parquet_is_what_csv_is(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run_one(from_tables(WORLD), 1, tmp_path / "out")
    run = run_data.load(tmp_path / "out")
    for name, rows in ((OPERATIONS_FILE, run.operations), (SAMPLES_FILE, run.samples)):
        table = pq.read_table((tmp_path / "out" / name).with_suffix(".parquet"))
        assert table.to_pylist() == [
            {name: getattr(row, name) for name in table.column_names} for row in rows
        ]
        assert table.num_rows > 0
    (tmp_path / "out" / SAMPLES_FILE).write_text("time_s\nx\n")
    with pytest.raises(ScenarioError, match="not the folder of a run"):
        parquet_beside(tmp_path / "out")


def test_tables_of_a_sweep_have_its_keys(tmp_path: Path) -> None:
    given = tasks(tmp_path / "out", from_tables(WORLD), 2, network__loss="0,5 %")
    assert not [end.error for end in map(do, given) if end.error]
    found = load(tmp_path / "out")
    for frame in (found.operations, found.samples):
        assert list(frame.columns[:3]) == ["run", "network.loss", "seed"]
        assert set(frame["network.loss"]) == {"0", "5 %"}
        assert set(frame["seed"]) == {1, 2}
    assert found.summary.shape[0] == 4
    means = found.operations.groupby(["network.loss", "seed"]).ok.mean().to_list()
    assert found.summary.lookup_ok_share.to_list() == pytest.approx(means)
    share = found.estimates.query("measure == 'ok_share'")
    assert list(share["network.loss"]) == ["0", "5 %"]
    assert (share.low < share.high).all()
    one = load(tmp_path / "out" / "001")
    assert list(one.operations.columns[:2]) == ["start_s", "stop_s"]
    assert one.summary.trace_sha256[0] == found.summary.trace_sha256[0]
    (tmp_path / "out" / "001" / "operations.parquet").unlink()
    assert load(tmp_path / "out" / "001").operations.equals(one.operations)
    with pytest.raises(ScenarioError, match="neither"):
        load(tmp_path)


def test_the_laboratory_is_imported_without_its_libraries() -> None:
    heavy = ("pandas", "dask", "dhtstore")
    told = f"import sys, simulations; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
