"""What a scenario asks of the measures of its own module: read, judged, told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulations.__main__ import main
from simulations.commands.common import SCENARIOS, asked_told, exit_code
from simulations.errors import ScenarioError
from simulations.lab.one_run.scenario_module import ScenarioModule
from simulations.scenario import from_tables, load
from simulations.sections.asked import read_asked
from simulations.service.asked import judge_asked

TABLE = {"lost": "<= 0", "held": ">= 97 %"}


def measures(**values: float) -> dict[str, Any]:
    return {name: {"values": {"": value}} for name, value in values.items()}


def test_bounds_are_read_with_per_cent_and_without() -> None:
    asked = read_asked(TABLE)
    assert asked["lost"].holds(0)
    assert not asked["lost"].holds(1)
    assert asked["held"].holds(0.97)
    assert not asked["held"].holds(0.9699)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (3, r"\[asked\] must be a table"),
        ({"lost": 0}, r"asked.lost: 0 is no bound such as '>= 97 %' or '<= 3'"),
        ({"lost": "< 3"}, "asked.lost: '< 3' is no bound"),
        ({"lost": "<= 1e-e"}, "asked.lost: '<= 1e-e' is no bound"),
    ],
)
def test_what_is_refused_names_its_key(table: object, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        read_asked(table)


def test_a_measure_beyond_its_bound_is_violated_and_exit_1() -> None:
    asked = judge_asked(read_asked(TABLE), measures(lost=0, held=0.96), ended=True)
    assert asked == {"hold": 1, "violated": ["held is 0.96, asked is >= 97 %"], "not_judged": {}}
    summary = {"interrupted": False, "failed": "", "violations": [], "service": {"violated": []}}
    assert exit_code({**summary, "asked": asked}) == 1
    assert asked_told({"asked": asked}) == [
        "asked measures that hold: 1",
        "asked measure violated: held is 0.96, asked is >= 97 %",
    ]
    held = judge_asked(read_asked(TABLE), measures(lost=0, held=0.97), ended=True)
    assert exit_code({**summary, "asked": held}) == 0


def test_the_worst_label_is_told() -> None:
    by_label = {"held": {"values": {"a": 0.99, "b": 0.5, "c": 0.7}}}
    [line] = judge_asked(read_asked({"held": ">= 97 %"}), by_label, ended=True)["violated"]
    assert line.startswith("held is 0.5,")


def test_what_was_not_measured_and_what_did_not_end_is_not_judged() -> None:
    asked = read_asked(TABLE)
    found = judge_asked(asked, measures(lost=0), ended=True)
    assert found["not_judged"] == {"held": "nothing of that name was measured"}
    cut_off = judge_asked(asked, measures(lost=1, held=0.1), ended=False)
    assert not cut_off["violated"]
    assert len(cut_off["not_judged"]) == 2


# --- in scenarios ---------------------------------------------------------------------------


def test_of_other_settings_nothing_is_asked_and_it_is_no_part_of_what_is_cited() -> None:
    plain = {"run": {"nodes": 9}}
    asking = {**plain, "asked": TABLE}
    assert from_tables(plain).sha256() == from_tables(asking).sha256()
    assert set(from_tables(asking, ["run.seed=3"]).asked) == set(TABLE)
    assert not from_tables(asking, ["run.nodes=8"]).asked
    assert set(from_tables(asking, ["run.nodes=8", "asked.held=>= 9 %"]).asked) == {"held"}
    assert set(from_tables(asking).with_files_beside().asked) == set(TABLE)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scenarios_promise_something_and_ask_of_measures_that_are(path: Path) -> None:
    scenario = load(path)
    assert scenario.asked or scenario.service.levels
    if scenario.asked:
        names = {measure.name for measure in ScenarioModule(scenario, path.parent).measures}
        assert set(scenario.asked) <= names


MODULE = """
from simulations.results.measure import Measure

MEASURES = [Measure("nodes_asked", lambda run: float(run.summary["nodes"]))]
"""


def test_a_run_tells_what_is_violated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "mine.toml"
    (tmp_path / "mine.py").write_text(MODULE)
    run = '[run]\nnodes = 4\nduration_s = "1 min"\nmodule = "mine.py"\n'
    scenario.write_text(run + '[asked]\nnodes_asked = "<= 3"\n')
    assert main(["run", str(scenario), "--out", str(tmp_path / "few")]) == 1
    told = capsys.readouterr().out
    assert "asked measure violated: nodes_asked is 4, asked is <= 3" in told
    assert main(["run", str(scenario), "--nodes", "5", "--out", str(tmp_path / "other")]) == 0
    assert "asked measure" not in capsys.readouterr().out
