"""Mistakes in a scenario's own code: told before the run where they can be seen, else at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulations.__main__ import main
from simulations.errors import Livelock, ModuleFailed, ScenarioError
from simulations.lab.one_run.experiment import Experiment
from simulations.results.run_data import load
from simulations.scenario import from_tables
from simulations.world.loop import virtual_loop

MEASURE = "from simulations.results.measure import Measure\n"
DATACLASS = "import dataclasses\n@dataclasses.dataclass\n"
DRIVE = "async def drive(world, parameters, seed): pass\n"
RUN = {"nodes": 10, "duration_s": "1 h", "module": "own.py"}


def experiment(folder: Path, code: str) -> Experiment:
    (folder / "own.py").write_text(code)
    return Experiment(from_tables({"run": RUN}), 1, None, folder=folder)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("drive = 5", "async def drive"),
        ("def drive(world, parameters, seed): pass", "async def drive"),
        ("async def drive(world): pass", "drive is to take"),
        ("def operations(parameters): return iter(())", "operations is to take"),
        ("MEASURES = (5,)", "MEASURES holds Measure objects"),
        (f"{MEASURE}MEASURES = Measure('one', len)", "MEASURES holds .* with a comma behind each"),
        (f"{MEASURE}MEASURES = (Measure('one', len, better='high'),)", "'more' or 'less', not 'hi"),
        (f"{MEASURE}MEASURES = (Measure('one', len),) * 2", "two measures have one name: one"),
        ("CHECKERS = (len,)", "CHECKERS holds Checker objects"),
        ("from simulations.checks.checkers import CHECKERS", "two checkers have one name"),
        ("class Parameters:\n    x: int = 1", "Parameters is a dataclass with fields of"),
        (f"{DATACLASS}class Parameters:\n    x: int = 1", "Parameters is a dataclass with"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        (f"{DRIVE}MEASURE = ()", "nobody looks at MEASURE; is it MEASURES?"),
        (f"{DRIVE}checkers = ()", "nobody looks at checkers; is it CHECKERS?"),
        ("MEASURES = ()\nasync def drives(world, parameters, seed): pass", "is it drive?"),
    ],
)
def test_what_can_be_seen_is_told_before_the_run(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        experiment(tmp_path, code)


def test_a_run_ends_where_its_own_code_fails(tmp_path: Path) -> None:
    made = experiment(
        tmp_path,
        "async def drive(world, parameters, seed):\n    await world.until(60)\n    helper()\n"
        "def helper():\n    1 / 0\n",
    )
    with pytest.raises(ModuleFailed, match=r"own\.py, line 5, in helper: ZeroDivisionError"):
        made.run()
    assert made.world.loop.time() < 200


def test_what_only_looks_like_a_hook_is_let_alone(tmp_path: Path) -> None:
    """Names of others, and those that stand beside what they resemble."""
    code = f"{MEASURE}{DRIVE}def drive_one(world): pass\ndriven = Drive = 5\n"
    experiment(tmp_path, code)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("world.until(60)", r"own\.py, line 2: coroutine 'World\.until' was never awaited"),
        ("kept = world.until(60)", r"coroutine 'World\.until' was never awaited"),
    ],
)
def test_an_await_that_was_forgotten_ends_the_run(tmp_path: Path, code: str, told: str) -> None:
    made = experiment(tmp_path, f"async def drive(world, parameters, seed):\n    {code}\n")
    with pytest.raises(ModuleFailed, match=f"an await is missing in the scenario: {told}"):
        made.run()
    assert made.world.loop.time() < 200


def test_who_keeps_time_from_moving_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_loop, "_AT_ONE_INSTANT_MAX", 50_000)
    code = (
        "async def drive(world, parameters, seed):\n    while True:\n        await world.until(0)\n"
    )
    with pytest.raises(Livelock, match=r"drive \(own\.py:3\)"):
        experiment(tmp_path, code).run()


def test_a_measure_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    code = f"{MEASURE}def odd(run):\n    return 1 / 0\nMEASURES = (Measure('odd', odd),)\n"
    (tmp_path / "own.py").write_text(code)
    scenario = from_tables({"run": RUN}, ["run.duration_s=10 s"])
    summary = Experiment(scenario, 1, None, folder=tmp_path).run()
    assert summary["failed"] == (
        "measure odd: own.py, line 3, in odd: ZeroDivisionError: division by zero"
    )


def test_code_that_ends_the_process_ends_the_run(tmp_path: Path) -> None:
    code = "import sys\nasync def drive(world, parameters, seed):\n    sys.exit(5)\n"
    with pytest.raises(ModuleFailed, match=r"own\.py, line 3, in drive: SystemExit: 5"):
        experiment(tmp_path, code).run()


@pytest.mark.parametrize("command", [["sweep", "--seeds", "1"], ["branch"]])
def test_no_run_begins_if_the_module_knows_no_such_parameter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (tmp_path / "own.py").write_text("async def drive(world, parameters, seed): pass")
    (tmp_path / "world.toml").write_text('[run]\nnodes = 10\nmodule = "own.py"')
    out = tmp_path / "out"
    vary = ["--vary", "parameters.dead=0,5 %", "--out", str(out)]
    assert main([*command, str(tmp_path / "world.toml"), *vary]) == 2
    assert "unknown key parameters.dead; there is none" in capsys.readouterr().err
    assert not out.exists()


def test_operations_that_fail_are_told_with_their_place(tmp_path: Path) -> None:
    code = "def operations(parameters, nodes, duration_s, seed):\n    yield from 5\n"
    with pytest.raises(ModuleFailed, match=r"own\.py, line 2, in operations: TypeError"):
        experiment(tmp_path, code).run()


@pytest.mark.parametrize(
    ("yielded", "told"),
    [
        ("5", "5 is no UserAction"),
        ("UserAction(-1.0, OperationKind.GET, 0, 0)", "at_s is -1.0"),
        ("UserAction(float('nan'), OperationKind.GET, 0, 0)", "at_s is nan"),
        ("UserAction(5.0, OperationKind.GET, 0, 0)", "5 s comes behind one at 9 s"),
        ("UserAction(9.0, 'put', 0, 0)", "kind is 'put', no OperationKind"),
        ("UserAction(9.0, OperationKind.GET, -1, 0)", "client is -1"),
        ("UserAction(9.0, OperationKind.GET, 1.5, 0)", "client is 1.5"),
        ("UserAction(9.0, OperationKind.PUT, 1, 0, -5)", "size_bytes is -5"),
    ],
)
def test_operations_that_are_none_are_told(tmp_path: Path, yielded: str, told: str) -> None:
    code = (
        "from simulations.events.workload import OperationKind, UserAction\n"
        "def operations(parameters, nodes, duration_s, seed):\n"
        "    yield UserAction(9.0, OperationKind.LOOKUP, 9, 0)\n"
        f"    yield {yielded}\n"
    )
    with pytest.raises(ModuleFailed, match=f"operations of the scenario: .*{re.escape(told)}"):
        experiment(tmp_path, code).run()


def test_what_a_run_is_too_short_for_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(
        "async def drive(world, parameters, seed):\n    await world.until(600)\n    world.kill()\n"
    )
    (tmp_path / "world.toml").write_text('[run]\nnodes = 4\nmodule = "own.py"')
    short = ["run", str(tmp_path / "world.toml"), "--set", "run.duration_s=30 s"]
    assert main([*short, "--out", str(tmp_path / "out")]) == 0
    told = "waits for 600 s, and this run ended 30 s after its begin (run.duration_s)"
    assert told in capsys.readouterr().out
    assert main(["report", str(tmp_path / "out")]) == 0
    assert told in (tmp_path / "out" / "report.html").read_text()


def test_a_measure_that_failed_is_told_behind_the_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(f"{MEASURE}MEASURES = (Measure('odd', lambda run: 1 / 0),)\n")
    (tmp_path / "world.toml").write_text('[run]\nnodes = 4\nduration_s = "5 s"\nmodule = "own.py"')
    assert main(["run", str(tmp_path / "world.toml"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out.partition("checkers hold")[2]
    assert "the run failed: measure odd: own.py, line 2, in <lambda>: ZeroDivisionError" in said


def test_a_failed_run_says_so_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text("async def drive(world, parameters, seed):\n    [][1]\n")
    (tmp_path / "world.toml").write_text(
        '[run]\nnodes = 10\nduration_s = "1 min"\nmodule = "own.py"'
    )
    assert main(["run", str(tmp_path / "world.toml"), "--out", str(tmp_path / "out")]) == 1
    assert "the run failed: drive of the scenario: own.py, line 2" in capsys.readouterr().err
    assert "IndexError" in load(tmp_path / "out").summary["failed"]


def test_a_duration_of_nothing_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"run\.duration_s"):
        from_tables({"run": {"duration_s": "0 s"}})


@pytest.mark.parametrize(
    ("name", "told"),
    [("lokup", "did you mean lookup"), ("{folder}", "folder without a run")],
)
def test_a_name_of_nothing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    assert main(["run", name.format(folder=tmp_path)]) == 2
    assert told in capsys.readouterr().err
