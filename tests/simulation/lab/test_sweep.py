"""Sweeps: every value with every seed, means with confidence intervals, plots against the value."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from simulations.__main__ import main
from simulations.errors import ScenarioError
from simulations.lab.many_runs import plan, sweep
from simulations.lab.many_runs.estimates import estimates
from simulations.report.page import write_sweep
from simulations.report.sweep_plots import draw
from simulations.results.run_folder import RunFolder
from simulations.scenario import from_tables

WORLD = (
    '[run]\nscenario = "tiny"\nnodes = 10\nduration_s = "1 min"\n'
    '[churn]\npreset = "custom"\n[workload]\nkind = "lookups"\n'
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two medians with three seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.toml").write_text(WORLD)
    vary = ["--vary", "churn.session_median_s=10 s,1 h", "--seed", "5", "--seeds", "3"]
    out = folder / "out"
    assert main(["sweep", str(folder / "tiny.toml"), *vary, "--out", str(out)]) == 0
    return out


def test_each_value_has_each_seed_and_can_be_replayed(swept: Path) -> None:
    found = sweep.load(swept)
    assert found.vary == {"churn.session_median_s": ["10 s", "1 h"]}
    seeds = [run.seed for run in found.runs]
    assert (seeds, found.missing) == ([5, 6, 7, 5, 6, 7], 0)
    assert len({run.trace_sha256 for run in found.runs}) == 6
    assert main(["replay", str(swept / "004")]) == 0


def test_its_page_has_plots_and_a_table(swept: Path) -> None:
    page = write_sweep(sweep.load(swept)).read_text()
    for name in ("success", "latency", "hops", "datagrams"):
        assert (swept / f"{name}.png").stat().st_size > 5000
    assert page.count("<figure>") == 4
    assert "http" not in page
    with (swept / "sweep.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert {row["churn.session_median_s"] for row in rows} == {"10 s", "1 h"}
    row = next(row for row in rows if row["measure"] == "datagrams_per_node_s")
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    assert row["runs"] == "3"


def test_values_stand_to_scale(swept: Path) -> None:
    found = sweep.load(swept)
    axes = draw(found, estimates(found))["success"].axes[0]
    assert list(axes.get_xticks()) == [10, 3600]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10 s", "1 h"]
    assert axes.get_xlabel() == "churn.session_median_s (logarithmic)"
    assert axes.get_xscale() == "log"


def test_runs_that_did_not_finish_are_left_out_and_counted(tmp_path: Path) -> None:
    runs = {name: ["network.loss=0", f"run.seed={name}"] for name in ("1", "2", "3")}
    write_plan(tmp_path, runs)
    for name, interrupted in (("1", False), ("2", True)):
        with RunFolder(tmp_path / name, from_tables({}), 1) as folder:
            summary = {"interrupted": interrupted, "failed": "", "operations": {}, "violations": []}
            folder.finish(summary)
    found = sweep.load(tmp_path)
    assert (len(found.runs), found.missing) == (1, 2)
    assert "2 runs were not finished" in write_sweep(found).read_text()


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="not a folder of runs"):
        sweep.load(tmp_path)
    write_plan(tmp_path, {"001": ["run.seed=1"]})
    with pytest.raises(ScenarioError, match="no run was finished"):
        sweep.load(tmp_path)
    with pytest.raises(ScenarioError, match="not empty"):
        plan.new_plan(tmp_path, from_tables({}), [], tmp_path)
    with pytest.raises(ScenarioError, match="cannot write"):
        plan.new_plan(tmp_path / "sweep.json", from_tables({}), [], tmp_path)
    for outside in ("../x", "/tmp/x", "."):
        write_plan(tmp_path, {outside: ["run.seed=1"]})
        with pytest.raises(ScenarioError, match="not a folder of runs"):
            sweep.load(tmp_path)


def write_plan(path: Path, runs: dict[str, list[str]]) -> None:
    plan = {"base_sha256": "", "code_sha256": "", "runs": runs}
    (path / "sweep.json").write_text(json.dumps(plan))


@pytest.mark.parametrize("missing", ["matplotlib", "permission"])
def test_a_report_that_cannot_be_drawn_says_why(
    swept: Path, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing == "matplotlib":
        monkeypatch.delitem(sys.modules, "simulations.report.page")
        monkeypatch.delattr("simulations.report.page")
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    else:
        monkeypatch.setattr(Path, "write_text", _refuse)
    assert main(["report", str(swept)]) == 2
    assert missing in capsys.readouterr().err


def _refuse(self: Path, text: str, encoding: str = "utf-8") -> int:
    raise OSError(f"no permission for {self}")


def test_branches_are_summed_up_as_well(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(WORLD)
    arguments = ["branch", str(tmp_path / "tiny.toml"), "--futures", "2", "--out"]
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out")]) == 0
    found = estimates(sweep.load(tmp_path / "out"))
    assert {one.runs for one in found} == {2}
    assert {one.settings for one in found} == {()}
