"""The laboratory's README tells what there is: commands, scenarios, columns, metrics."""

from __future__ import annotations

import dataclasses
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from simulations.__main__ import main, parser
from simulations.commands.common import SCENARIOS
from simulations.results.measure import METRICS as OF_THE_LABORATORY
from simulations.results.rows import OperationRow
from simulations.results.run_data import load
from simulations.scenario import from_tables
from tests.source_tree import ROOT

README = (ROOT / "simulations" / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m simulations (.*?)(?:  +#.*)?$", README, re.MULTILINE)
METRICS = re.compile(r'sample\((?:now_s, )?"(\w+)"')


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_as_they_stand(command: str) -> None:
    chosen = parser().parse_args(shlex.split(command))
    varied = [one.partition(",")[0] for one in getattr(chosen, "vary", [])]
    from_tables({}, [*getattr(chosen, "set", []), *varied])


def test_every_command_is_shown() -> None:
    shown = {command.split()[0] for command in COMMANDS}
    assert shown == {
        "list", "run", "report", "compare", "replay", "sweep", "branch", "validate", "explore",
        "reference",
    }  # fmt: skip


def test_every_scenario_column_and_metric_is_told() -> None:
    columns = [field.name for field in dataclasses.fields(OperationRow)]
    sources = [path.read_text("utf-8") for path in (ROOT / "simulations" / "lab").rglob("*.py")]
    metrics = [name for source in sources for name in METRICS.findall(source)]
    assert len(metrics) > 7
    assert set(metrics) == set(OF_THE_LABORATORY), "no metric of one's own may have their names"
    for name in (*columns, *metrics, *(path.stem for path in SCENARIOS.glob("*.toml"))):
        assert f"`{name}`" in README, name


def test_the_module_that_is_shown_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("blackout.toml", "blackout.py"):
        (tmp_path / name).write_text(_shown(name), encoding="utf-8")
    out = tmp_path / "out"
    smaller = ["--nodes", "40", "--set", "run.duration_s=5 min", "--set", "parameters.at_s=2 min"]
    assert main(["run", str(tmp_path / "blackout.toml"), *smaller, "--out", str(out)]) == 0
    run = load(out)
    [died] = run.metric("died")
    assert died.value == 20
    assert len(run.metric("nodes_up")) == 30
    measures = run.summary["measures"]
    assert measures["contacts"]["values"]["of newcomers"] > 15
    share = measures["found_afterwards_share"]["values"][""]
    assert 0.5 < share <= 1
    assert '"found_afterwards_share": ' in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"<td>found_afterwards_share</td><td></td><td>{share:.6g}</td><td>more</td>" in page
    assert (out / "own-contacts.png").exists()


def _shown(name: str) -> str:
    """The indented block that begins with its name."""
    _, _, rest = README.partition(f"\n    # {name}\n")
    lines = []
    for line in rest.splitlines():
        if line.startswith("    # ") or (line and not line.startswith("    ")):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines))
