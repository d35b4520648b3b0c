"""A run that is watched is the same run, and ``replay`` tells of it what one asks for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from simulations.__main__ import main
from simulations.results.run_data import load

TOML = """
[run]
nodes = 12
duration_s = "10 min"
[network]
loss = "15 %"
[churn]
preset = "custom"
session_median_s = "5 min"
absence_median_s = "2 min"
[workload]
kind = "mix"
operations_per_s = 0.1
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "small.toml").write_text(TOML)
    assert (
        main(["run", str(folder / "small.toml"), "--out", str(folder / "run"), "--messages"]) == 0
    )
    return folder / "run"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_sorts_of_questions_are_told(run: Path) -> None:
    told = rows(run / "messages.csv")
    kinds = {row["kind"] for row in told}
    assert {
        "ping",
        "find_node",
        "get_providers",
        "dial",
        "handshake",
        "Offer",
        "Replicate",
    } <= kinds
    failures = {row["failure"] for row in told if row["ok"] == "0"}
    assert "no answer: the request was lost: lost" in failures
    assert all(bool(row["failure"]) is (row["ok"] == "0") for row in told)
    sent = load(run).summary["messages_by_kind"]
    assert sum(row["kind"] == "find_node" for row in told) <= sent["find_node"]


def test_a_replay_that_tells_is_the_same_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "failed.csv"
    arguments = ["replay", str(run), "--failed", "--kind", "ping", "--csv", str(table)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "the same trace" in out
    assert f"{len(rows(table))} of {len(rows(run / 'messages.csv'))} messages" in out
    expected = [
        row for row in rows(run / "messages.csv") if row["kind"] == "ping" and row["ok"] == "0"
    ]
    assert rows(table) == expected
    assert expected


def test_lines_for_people_name_both_nodes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dials = [row for row in rows(run / "messages.csv") if row["kind"] == "dial"]
    first = dials[0]
    arguments = ["replay", str(run), "--kind", "dial", "--source", first["source"]]
    assert main([*arguments, "--target", first["target"]]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "dial" in line]
    assert len(lines) == sum(
        (row["source"], row["target"]) == (first["source"], first["target"]) for row in dials
    )
    assert f" {first['source']} -> {first['target']}  dial: " in lines[0]


def test_a_file_that_is_there_is_not_written_over(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "messages.csv").read_text()
    assert main(["replay", str(run), "--csv", str(run / "messages.csv")]) == 2
    assert "choose a new file" in capsys.readouterr().err
    assert (run / "messages.csv").read_text() == before


def test_what_is_no_time_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(run), "--after", "soon"]) == 2
    assert "--after" in capsys.readouterr().err
