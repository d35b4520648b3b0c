"""A scenario of one's own is a TOML file and at most one small module."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulations.__main__ import main
from simulations.results.run_data import load

SCENARIO = """
[run]
scenario = "blackout"
nodes = 20
duration_s = "4 min"
module = "parts/blackout.py"
[parameters]
down = "50 %"
at_s = "2 min"
"""
MODULE = '''
import random
from dataclasses import dataclass

from simulations.checks.checker import Checker
from simulations.settings import duration, share
from simulations.events.workload import OperationKind, UserAction


@dataclass(frozen=True, slots=True)
class Parameters:
    down: float = share("30 %")
    at_s: float = duration("1 min")


def operations(parameters, nodes, duration_s, seed):
    rng = random.Random(seed)
    for at_s in range(0, int(duration_s), 4):
        yield UserAction(at_s, OperationKind.LOOKUP, rng.randrange(nodes), at_s)


async def drive(experiment, parameters, seed):
    await experiment.until(parameters.at_s)
    members = experiment.population.up()
    for member in random.Random(seed).sample(members, round(parameters.down * len(members))):
        experiment.population.crash(member.number)


class ManyUp(Checker):
    """More than fifteen nodes run until all are stopped."""

    name = "many_up"
    blind_to = "which"

    def check(self, world):
        return ["fewer than sixteen"] if 0 < len(world.nodes_up()) < 16 else []


CHECKERS = (ManyUp(),)
'''


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "blackout.py").write_text(MODULE)
    path = tmp_path / "blackout.toml"
    path.write_text(SCENARIO)
    return path


def test_it_runs_and_replays_from_its_folder_alone(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["run", str(scenario), "--out", str(out)]) == 1, "its checker finds the blackout"
    shutil.rmtree(tmp_path / "parts")
    scenario.unlink()
    run = load(out)
    up = [sample.value for sample in run.metric("nodes_up")]
    assert (up[0], up[-1]) == (20, 10)
    assert run.summary["operations"]["lookup"]["count"] == 60
    assert run.summary["checkers"]["many_up"]["violations"] == 1
    assert main(["replay", str(out)]) == 1
    again = tmp_path / "again"
    assert main(["run", str(out), "--set", "parameters.down=10 %", "--out", str(again)]) == 0
    assert load(again).metric("nodes_up")[-1].value == 18
    kept = {file.name for file in out.iterdir()}
    assert kept == {
        "blackout.py", "operations.csv", "samples.csv", "scenario.json", "summary.json"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["parameters.dwon=1"], "unknown key parameters.dwon; did you mean down?"),
        (["parameters.down=200 %"], "parameters.down: '200 %' is outside"),
        (["run.module=gone.py"], "run.module: there is no file "),
        (["run.module=blackout.toml"], "is not a Python file"),
        (["run.module=empty.py"], "defines none of Parameters, operations"),
        (["run.module=broken.py"], "broken.py: ZeroDivisionError"),
        (["workload.kind=mix"], "the module's operations take its place"),
        (['run.module=""'], "unknown key parameters.down"),
    ],
)
def test_what_does_not_fit_is_refused(
    scenario: Path, overrides: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenario.parent / "empty.py").touch()
    (scenario.parent / "broken.py").write_text("1 / 0")
    settings = [argument for one in overrides for argument in ("--set", one)]
    out = scenario.parent / "out"
    assert main(["run", str(scenario), *settings, "--out", str(out)]) == 2
    assert complaint in capsys.readouterr().err
    assert not out.exists(), "what could not be run left nothing behind"
