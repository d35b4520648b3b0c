"""The laboratory's README tells what there is: commands, scenarios, columns, metrics."""

from __future__ import annotations

import dataclasses
import re
import shlex

import pytest

from simulations.__main__ import parser
from simulations.commands.common import SCENARIOS
from simulations.results.rows import OperationRow
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
    for name in (*columns, *metrics, *(path.stem for path in SCENARIOS.glob("*.toml"))):
        assert f"`{name}`" in README, name
