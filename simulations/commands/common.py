"""What several commands share: their options, the scenario they are for, and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulations.errors import INTERRUPTED, ScenarioError
from simulations.lab.many_runs import plan
from simulations.lab.one_run.progress import Bar
from simulations.results import run_folder
from simulations.scenario import Scenario, load
from simulations.settings import suggestion

Subparsers = Any  # of argparse, which keeps the type to itself
SCENARIOS = Path(__file__).parent.parent / "scenarios"


def scenario_options(command: argparse.ArgumentParser, seed: str) -> None:
    """The scenario and what is set instead of its values; ``seed`` explains the option."""
    command.add_argument(
        "scenario", help="a TOML file, a name that `list` shows, or a run's folder"
    )
    command.add_argument("--seed", type=int, help=seed)
    command.add_argument("--nodes", type=int, help="instead of run.nodes")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="instead of a value of the scenario, as network.loss='2 %%'; may be repeated",
    )


def new_folder(spelled: str) -> Path:
    """For results; nothing at all would be the folder in which the command runs."""
    if not spelled.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder for the results")
    return Path(spelled)


def at_least(low: int, spelled: str) -> int:
    number = int(spelled)
    if number < low:
        raise argparse.ArgumentTypeError(f"{number} is less than {low}")
    return number


def positive(spelled: str) -> int:
    return at_least(1, spelled)


def several(spelled: str) -> int:
    return at_least(2, spelled)


def load_chosen(chosen: argparse.Namespace) -> tuple[Scenario, Path]:
    path = find_scenario(chosen.scenario)
    overrides = list(chosen.set)
    overrides += [f"run.seed={chosen.seed}"] if chosen.seed is not None else []
    overrides += [f"run.nodes={chosen.nodes}"] if chosen.nodes is not None else []
    return load(path, overrides), path


def find_scenario(name: str) -> Path:
    """A file, a run's folder, else one of the scenarios at hand."""
    path = Path(name)
    if run_folder.holds_run(path):
        return path / "scenario.json"
    known = SCENARIOS / f"{name}.toml"
    if not path.exists() and known.exists():
        return known
    if path.is_dir():
        run_of(path)
        raise ScenarioError(
            f"{path} is a folder without a run: name a TOML file, or a run's folder"
        )
    if not path.exists() and not path.suffix:
        names = {each.stem: None for each in sorted(SCENARIOS.glob("*.toml"))}
        raise ScenarioError(f"there is no scenario {name}{suggestion(name, names)}")
    return path


def run_of(path: Path) -> Path:
    """It, unless it holds several runs; raises ScenarioError then."""
    if plan.is_sweep(path):
        one = path / plan.folder_of(0)
        raise ScenarioError(f"{path} holds several runs: name one of them, as {one}")
    return path


def exit_code(summary: dict[str, Any]) -> int:
    if summary["interrupted"]:
        return INTERRUPTED
    violated = summary["service"]["violated"] or summary["asked"]["violated"]
    return 1 if summary["violations"] or violated or summary["failed"] else 0


def service_told(summary: dict[str, Any], name: str) -> str:
    """What the run was beside the service level of its scenario, and what to do about it."""
    found = summary["service"]
    if not found["judged"]:
        return f"service level not judged: {found['why']}"
    few = [f"  {kind} not judged: {why}" for kind, why in found["not_judged"].items()]
    if not found["violated"]:
        return "\n".join(["service level holds", *few])
    lines = [f"service level violated: {line}" for line in found["violated"]]
    hint = f"if that is meant: python -m simulations reference {name} --write"
    return "\n".join([*lines, *few, hint])


def asked_told(summary: dict[str, Any]) -> list[str]:
    """What the run's own measures were beside what its scenario asks of them; nothing where it
    asks nothing."""
    found = summary["asked"]
    holds = [f"asked measures that hold: {found['hold']}"] if found["hold"] else []
    violated = [f"asked measure violated: {line}" for line in found["violated"]]
    return holds + violated + [f"  {k} not judged: {w}" for k, w in found["not_judged"].items()]


@contextlib.contextmanager
def progress_bar() -> Iterator[Bar | None]:
    """A bar if somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(sys.stderr)
    try:
        yield bar
    finally:
        bar.close()
