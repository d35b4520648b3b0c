"""Mistakes at the command line: each is told in words, with what to do next."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.__main__ import main
from simulations.commands import listing
from simulations.commands.several import SweepTeller
from simulations.errors import INTERRUPTED, ScenarioError
from simulations.lab.many_runs import explore as many_runs_explore
from simulations.lab.many_runs import plan
from simulations.lab.many_runs.one import RunEnd, run_one
from simulations.lab.many_runs.sweeping import SweepProgress
from simulations.scenario import from_tables
from simulations.validation import lookups
from tests.source_tree import ROOT

SHORT = ["lookup", "--nodes", "4", "--set", "run.duration_s=1 s"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a file, an empty folder, a broken run, and a sweep."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scenario.json").write_text("{}")
    (tmp_path / "broken" / "summary.json").write_text("{")
    plan.new_plan(tmp_path / "swept", from_tables({}), [], Path())
    return tmp_path


@pytest.mark.parametrize("command", [["run", *SHORT], ["sweep", *SHORT], ["explore"]])
def test_a_folder_without_a_name_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--out", ""])
    assert "argument --out: it is empty: name a folder" in capsys.readouterr().err
    assert not (here / "summary.json").exists()


@pytest.mark.parametrize(
    ("command", "imported", "told"),
    [("simulations", "mmh3", "interrupted\n"), ("dhtstore", "typer", "")],
)
def test_an_interrupt_while_a_command_imports_is_no_error(
    tmp_path: Path, command: str, imported: str, told: str
) -> None:
    (tmp_path / f"{imported}.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", *SHORT, "--out", "file"], "cannot write to file: a file is in the way"),
        (["run", *SHORT, "--out", "file/x"], "cannot write to file/x: a file is in the way"),
        (["branch", *SHORT, "--out", "file"], "cannot write to file: a file is in the way"),
        (["sweep", *SHORT, "--out", "file"], "cannot write to file: a file is in the way"),
        (["explore", "--seeds", "1", "--out", "file"], "file: a file is in the way"),
        (["run", "swept"], "swept holds several runs: name one of them, as swept/001"),
        (["replay", "swept"], "swept holds several runs: name one of them"),
        (["compare", "swept", "swept"], "swept holds several runs: name one of them"),
        (["reference", "--all", "lookup"], "lookup is one of --all: name it without, or none"),
        (["reference", "lookup", "lookup"], "lookup is named twice"),
        (["report", "nowhere"], "nowhere does not exist: name the folder that a run has left"),
        (["replay", "file"], "file is a file: name the folder that a run has left"),
        (["report", "empty"], "empty is not the folder of a run: it has no scenario.json"),
        (["report", "broken"], "broken is not the folder of a run: summary.json: Expecting"),
    ],
)
def test_paths_that_are_not_what_they_should_be(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Errno" not in said


def test_a_file_in_the_way_of_a_run_is_told_before_it_and_leaves_nothing(here: Path) -> None:
    before = sorted(os.listdir(here))
    with pytest.raises(ScenarioError, match="a file is in the way"):
        run_one(from_tables({"run": {"nodes": 2}}), 1, Path("file"))
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize(
    "arguments",
    [["explore", "--minutes", "-1"], ["explore", "--minutes", "nan"],
     ["validate", "--streams", "--live", "1 h"]],
)  # fmt: skip
def test_what_would_do_nothing_or_half_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def full(chosen: object) -> int:
        try:
            raise OSError(number, os.strerror(number))
        except OSError:
            raise ValueError("what came of it")  # noqa: B904 - as where nobody thought of it

    monkeypatch.setattr(listing, "_list", full)
    assert main(["list"]) == 1
    assert "no room is left" in capsys.readouterr().err


def test_a_search_that_is_interrupted_tells_how_to_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted_at(seed: int) -> None:
        if seed == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(many_runs_explore, "try_seed", interrupted_at)
    assert main(["explore", "--first-seed", "7", "--out", "found"]) == 130
    told = capsys.readouterr().out
    assert "2 worlds from seed 7, 0 failures" in told
    assert "--first-seed 9 goes on" in told


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(nodes: int, lookups: int, seed: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lookups, "validate", interrupted)
    assert main(["validate"]) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_a_selection_of_messages_that_takes_none_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = str(tmp_path / "ran")
    tables = {"run": {"nodes": 2, "duration_s": "5 s"}, "workload": {"kind": "lookups"}}
    run_one(from_tables(tables), 1, Path(ran))
    assert main(["replay", ran, "--kind", "pong"]) == 0
    assert "none is of kind pong; there are find_node" in capsys.readouterr().out
    assert main(["replay", ran, "--node", "1700"]) == 0
    assert "none is of node 1700; there are nodes up to 1\n" in capsys.readouterr().out
    assert main(["replay", ran, "--after", "2 s", "--before", "1 s"]) == 2
    assert "--before 1 s is not later than --after 2 s" in capsys.readouterr().err


def test_a_sweep_tells_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    tell = SweepTeller(Path("out"), lambda: clock[0])
    tell(SweepProgress(2, 5))
    for done in (3, 4, 5):
        clock[0] += 30.0
        tell(SweepProgress(done, 5, RunEnd(f"{done:03}", ("run.seed=1",))))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.rpartition("  ")[2] for line in lines[:2]] == [
        "about 0:01:00 left",
        "about 0:00:30 left",
    ]
    assert "left" not in lines[2]
