"""A run's folder can be read back, compared and repeated from."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow.parquet
import pytest

from simulations.errors import ScenarioError
from simulations.results.comparison import compare
from simulations.results.rows import OperationRow
from simulations.results.run_data import load
from simulations.results.run_folder import RunFolder, free_folder
from simulations.results.summary import describe, quantile, summarise
from simulations.results.tables import parquet_beside
from simulations.scenario import from_tables

SCENARIO = from_tables({"run": {"scenario": "lookup", "nodes": 10}})
ROWS = [
    OperationRow(0.5, 1.25, "lookup", 3, 7, 0, 2, 20, 1, True),
    OperationRow(1.0, 3.0, "lookup", 4, 8, 0, 3, 30, 0, True),
    OperationRow(2.0, 17.0, "get", 4, 1, 4096, 0, 0, 0, False, "NotFound, really"),
]


def write(path: Path, **summary: object) -> None:
    with RunFolder(path, SCENARIO, seed=5) as folder:
        for row in ROWS:
            folder.operation(row)
        folder.sample(60.0, "nodes_up", 9)
        folder.sample(60.0, "bucket_fill", 19.5, label="0")
        folder.finish({"trace_sha256": "ab", "operations": summarise(ROWS), **summary})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path)
    data = load(tmp_path)
    assert data.operations == ROWS
    assert [(s.time_s, s.label, s.value) for s in data.metric("bucket_fill")] == [(60, "0", 19.5)]
    assert from_tables(data.scenario) == SCENARIO
    assert (data.summary["seed"], data.summary["trace_sha256"]) == (5, "ab")
    assert data.summary["scenario_sha256"] == SCENARIO.sha256()


def test_times_of_a_month_are_written_to_the_microsecond(tmp_path: Path) -> None:
    late = OperationRow(2_592_000.123456, 2_592_000.143456, "get", 4, 1, 4096, 0, 0, 0, True)
    with RunFolder(tmp_path, SCENARIO, seed=1) as folder:
        folder.operation(late)
        folder.sample(2_592_000.123456, "rate", 1 / 3)
        folder.finish({})
    assert load(tmp_path).operations == [late]
    assert [sample.value for sample in load(tmp_path).samples] == [0.333333333]
    parquet_beside(tmp_path)
    kept = pyarrow.parquet.read_table(tmp_path / "operations.parquet").to_pylist()
    assert (kept[0]["start_s"], kept[0]["stop_s"]) == (late.start_s, late.stop_s)


def test_every_csv_names_its_run(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("operations.csv", "samples.csv"):
        text = (tmp_path / name).read_text()
        assert text.startswith("# name: lookup\n# seed: 5\n# schema_version: 1\n")


def test_an_interrupted_run_can_be_read(tmp_path: Path) -> None:
    with RunFolder(tmp_path, SCENARIO, seed=1) as folder:
        folder.operation(ROWS[0])
    data = load(tmp_path)
    assert data.operations == ROWS[:1]
    assert data.summary == {}


def test_summaries_by_kind() -> None:
    found = summarise(ROWS)
    assert found["lookup"]["ok_share"] == 1.0
    assert found["lookup"]["latency_s"]["mean"] == pytest.approx(1.375)
    assert found["lookup"]["hops"]["mean"] == 2.5
    assert found["get"]["errors"] == {"NotFound, really": 1}
    assert json.dumps(found)


def test_quantiles_interpolate() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile([7], 0.99) == 7
    assert math.isnan(quantile([], 0.5))
    assert describe([]) == {"count": 0}
    assert describe(range(101))["p95"] == 95


def test_comparing_tells_worlds_apart_and_not_machines(tmp_path: Path) -> None:
    for name, wall_s, sha in (("a", 1.0, "ab"), ("b", 2.0, "ab"), ("c", 1.0, "cd")):
        write(tmp_path / name, wall_s=wall_s, trace_sha256=sha, messages=100 if sha == "ab" else 90)
    a, b, c = (load(tmp_path / name) for name in "abc")
    assert compare(a, b) == []
    assert compare(a, c) == ["messages: 100 | 90 (-10.0 %)", "trace_sha256: ab | cd"]


def test_what_was_set_differently_is_told(tmp_path: Path) -> None:
    for name, loss in (("a", "1 %"), ("b", "2 %")):
        with RunFolder(tmp_path / name, from_tables({"network": {"loss": loss}}), seed=1) as folder:
            folder.finish({"messages": len(loss) if name == "a" else 0})
    told = compare(load(tmp_path / "a"), load(tmp_path / "b"))
    assert told[1] == "messages: 3 | 0 (-100.0 %)"
    assert told[0] == "scenario.network.loss: 1 % | 2 %"


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "run")
    with pytest.raises(ScenarioError, match="holds a run already"):
        write(tmp_path / "run")
    assert free_folder(tmp_path / "run") == tmp_path / "run-2"
    assert free_folder(tmp_path / "other") == tmp_path / "other"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScenarioError, match=r"cannot write to .*file/run"):
        write(tmp_path / "file" / "run")


@pytest.mark.parametrize("name", ["samples.csv", "trace.txt", "messages.csv"])
def test_a_file_that_the_run_would_write_over_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("up 35 min\ndown 2 h\n")
    scenario = from_tables({"churn": {"preset": "trace", "trace_file": name}})
    with pytest.raises(
        ScenarioError, match=rf"churn\.trace_file: runs write a {name} of their own"
    ):
        RunFolder(tmp_path / "run", scenario, 1, tmp_path)
    assert not (tmp_path / "run").exists()


def test_files_that_a_scenario_names_are_kept_with_the_run(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    (source / "data" / "m.txt").write_text("0 1\n1 0\n")
    network = {"latency": "matrix", "matrix_file": "data/m.txt"}
    with RunFolder(tmp_path / "run", from_tables({"network": network}), 1, source) as folder:
        folder.finish({})
    assert (tmp_path / "run" / "m.txt").read_text() == "0 1\n1 0\n"
    kept = load(tmp_path / "run")
    assert kept.scenario["network"]["matrix_file"] == "m.txt"
    assert len(kept.summary["sha256_of_m.txt"]) == 64
    with pytest.raises(ScenarioError, match=r"network\.matrix_file: cannot read"):
        RunFolder(tmp_path / "other", from_tables({"network": network}), 1, tmp_path)
    two = {"network": network, "churn": {"preset": "trace", "trace_file": "m.txt"}}
    with pytest.raises(ScenarioError, match="one name"):
        RunFolder(tmp_path / "third", from_tables(two), 1, source)


@pytest.mark.parametrize("missing", ["scenario.json", "operations.csv", "samples.csv"])
def test_what_is_no_run_is_refused(tmp_path: Path, missing: str) -> None:
    write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ScenarioError, match="not the folder of a run"):
        load(tmp_path)


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "samples.csv").write_text("time_s,metric\n1,x\n")
    with pytest.raises(ScenarioError, match="not the folder of a run"):
        load(tmp_path)
