"""A run beside its service level: what is violated, what is not judged, and what users are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulations.__main__ import main
from simulations.commands.common import exit_code, service_told
from simulations.errors import ScenarioError
from simulations.scenario import from_tables
from simulations.sections.service import ServiceSettings, read_service
from simulations.service.judge import judge

LEVEL = {
    "operations": 200,
    "success": "97 %",
    "success_tolerance": "2 %",
    "recall": "99 %",
    "recall_tolerance": "1 %",
    "p50_s": "500 ms",
    "p50_tolerance_s": "100 ms",
    "p95_s": "2 s",
    "p95_tolerance_s": "1 s",
}
SERVICE = read_service({"of": "these", "runs": 3, "get": LEVEL})


def operations(
    count: int = 200, ok: float = 0.97, recall: float = 0.99, **quantiles_s: float
) -> dict[str, Any]:
    latency = {"p50": 0.5, "p95": 2.0, **quantiles_s} if ok else {"count": 0}
    found = {"mean": recall} if ok else {"count": 0}
    of_get = {"could_be_served": count, "served_share": ok, "recall": found, "latency_s": latency}
    return {"get": of_get}


def judged(found: dict[str, Any], settings: str = "these", *, ended: bool = True) -> dict[str, Any]:
    return judge(SERVICE, settings, found, ended=ended)


def test_what_lies_within_the_tolerance_holds() -> None:
    for found in (
        operations(),
        operations(ok=0.951, recall=0.981, p50=0.599, p95=2.99),
        operations(ok=1.0, p50=0.1),
    ):
        assert judged(found) == {"judged": True, "why": "", "violated": [], "not_judged": {}}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (operations(ok=0.949), "get: 94.90% succeeded, promised are 97.00% less 2.00% at most"),
        (
            operations(recall=0.97),
            "get: 97.00% of the closest were found, promised are 99.00% less 1.00% at most",
        ),
        (operations(p50=0.61), "get: p50 was 0.61 s, promised are 0.5 s and 0.1 s more at most"),
        (operations(p95=3.1), "get: p95 was 3.1 s, promised are 2 s and 1 s more at most"),
        (operations(ok=0.0), "get: 0.00% succeeded, promised are 97.00% less 2.00% at most"),
    ],
)
def test_each_figure_can_be_violated(found: dict[str, Any], told: str) -> None:
    assert judged(found)["violated"] == [told]


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (judged(operations(ok=0.0), ended=False), "the run did not come to its end"),
        (judged(operations(ok=0.0), "others"), "other settings than those of the reference runs"),
        (judged(operations(19, ok=0.0)), "too few operations"),
        (judged({}), "too few operations"),
        (judge(read_service({}), "these", {}, ended=True), "the scenario has no service level"),
    ],
)
def test_what_cannot_be_held_against_the_reference_is_not_judged(
    verdict: dict[str, Any], why: str
) -> None:
    assert (verdict["judged"], verdict["why"], verdict["violated"]) == (False, why, [])


def test_a_kind_with_few_operations_is_left_out_and_named() -> None:
    both = read_service({"of": "these", "get": LEVEL, "put": LEVEL})
    found = {**operations(ok=0.5), "put": operations(3, ok=0.0)["get"]}
    verdict = judge(both, "these", found, ended=True)
    assert verdict["judged"]
    assert [line.split(":")[0] for line in verdict["violated"]] == ["get"]
    assert verdict["not_judged"] == {"put": "3 operations, 20 are needed"}


def test_a_violated_level_is_exit_1_and_says_how_to_renew_it() -> None:
    summary = {
        "interrupted": False,
        "failed": "",
        "violations": [],
        "service": judged(operations(ok=0.5)),
        "asked": {"violated": []},
    }
    assert exit_code(summary) == 1
    told = service_told(summary, "mine.toml")
    assert told.startswith("service level violated: get: 50.00% succeeded, promised are 97.00%")
    assert told.endswith("python -m simulations reference mine.toml --write")
    assert exit_code({**summary, "service": judged(operations())}) == 0


# --- in scenarios ---------------------------------------------------------------------------


def test_a_level_is_no_part_of_what_is_cited() -> None:
    plain = {"run": {"nodes": 9}}
    promised = {**plain, "service": {"of": "x", "get": LEVEL}}
    assert from_tables(plain).sha256() == from_tables(promised).sha256()
    assert isinstance(from_tables(promised).service, ServiceSettings)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (3, r"\[service\] must be a table"),
        ({"off": "x"}, "unknown key service.off; did you mean of"),
        ({"get": {"sucess": 0.9}}, "unknown key service.get.sucess; did you mean success"),
        ({"get": {"p50_s": 0.5}}, "service.get.p50_s: 0.5 is not a duration"),
    ],
)
def test_what_is_refused_names_its_key(table: object, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        from_tables({"service": table})


def test_seed_future_and_names_are_no_settings_and_all_else_is(tmp_path: Path) -> None:
    tables = {"run": {"nodes": 9, "scenario": "one"}, "network": {"loss": "1 %"}}
    plain = from_tables(tables).settings_sha256(tmp_path)
    for same in ("run.seed=5", "run.future=2", "run.scenario=two", "run.description=of two"):
        assert from_tables(tables, [same]).settings_sha256(tmp_path) == plain
    for other in ("run.nodes=10", "run.duration_s=2 h", "network.loss=2 %", "faults.lying=1 %"):
        assert from_tables(tables, [other]).settings_sha256(tmp_path) != plain


def test_what_stands_in_files_counts_and_where_they_lie_does_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("own.py", "sub/own.py"):
        (tmp_path / name).write_text("CHECKERS = ()\n")
    here, below = (from_tables({"run": {"module": name}}) for name in ("own.py", "sub/own.py"))
    assert here.settings_sha256(tmp_path) == below.settings_sha256(tmp_path)
    before = here.settings_sha256(tmp_path)
    (tmp_path / "own.py").write_text("CHECKERS = []\n")
    assert here.settings_sha256(tmp_path) != before


def test_a_run_is_judged_by_the_level_in_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise what no network can do; a run of its own folder is judged as well, and one with
    another loss is not."""
    tables = {
        "run": {"nodes": 12, "duration_s": "2 min"},
        "workload": {"kind": "lookups", "operations_per_s": 0.5},
    }
    of = from_tables(tables).settings_sha256(tmp_path)
    never = {"of": of, "lookup": {**LEVEL, "p50_s": "1 ms", "p50_tolerance_s": "1 ms"}}
    (tmp_path / "mine.json").write_text(json.dumps({**tables, "service": never}))
    out, again = str(tmp_path / "out"), str(tmp_path / "again")
    assert main(["run", str(tmp_path / "mine.json"), "--seed", "4", "--out", out]) == 1
    assert "service level violated: lookup: p50 was" in capsys.readouterr().out
    assert main(["run", out, "--out", again]) == 1
    assert main(["replay", out]) == 1
    capsys.readouterr()
    lossy = ["--set", "network.loss=1 %", "--out", str(tmp_path / "lossy")]
    assert main(["run", out, *lossy]) == 0
    assert "service level not judged: other settings" in capsys.readouterr().out
    summary = json.loads((tmp_path / "lossy" / "summary.json").read_text())
    assert not summary["service"]["judged"]
