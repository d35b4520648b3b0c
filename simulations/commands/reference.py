"""``reference``: runs of a scenario as it is, and the service level that they make."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulations.commands.common import SCENARIOS, Subparsers, find_scenario, positive
from simulations.errors import ScenarioError
from simulations.lab.many_runs.reference import references
from simulations.results.run_folder import git_sha
from simulations.service.block import block, write
from simulations.service.reference import RUNS_MIN


def add(commands: Subparsers) -> None:
    command = commands.add_parser("reference", help="make the service level of scenarios")
    command.add_argument("scenario", nargs="*", help="TOML files, or names that `list` shows")
    command.add_argument("--all", action="store_true", help="all scenarios at hand")
    command.add_argument(
        "--seeds",
        type=positive,
        default=5,
        help=f"how many, {RUNS_MIN} at least (default 5): the more, the smaller the tolerance",
    )
    command.add_argument(
        "--parts",
        type=positive,
        default=1,
        help=f"of each run count as runs, {RUNS_MIN} in all at least: for runs that take an hour",
    )
    command.add_argument("--jobs", type=positive, default=1, help="runs at a time")
    command.add_argument("--write", action="store_true", help="into the files, not to the terminal")
    command.set_defaults(do=_reference)


def _reference(chosen: argparse.Namespace) -> int:
    if chosen.seeds * chosen.parts < RUNS_MIN:
        raise ScenarioError(f"{RUNS_MIN} runs at least tell how much they differ: more --seeds")
    paths = _paths(chosen)
    commit = git_sha()  # before the first file is written
    order = paths, chosen.seeds, chosen.jobs, commit, _tell
    for path, service in references(*order, chosen.parts):
        if chosen.write:
            write(path, service)
            _tell(f"written into {path}")
        else:
            print(f"# {path.name}\n{block(service)}")
    return 0


def _paths(chosen: argparse.Namespace) -> list[Path]:
    paths = sorted(SCENARIOS.glob("*.toml")) if chosen.all else []
    for name in chosen.scenario:
        path = find_scenario(name)
        if path in paths:  # it would run for hours that nobody meant
            why = "one of --all: name it without, or none" if chosen.all else "named twice"
            raise ScenarioError(f"{name} is {why}")
        paths.append(path)
    if not paths:
        raise ScenarioError("name a scenario, or --all")
    for path in paths:
        if path.suffix != ".toml":
            raise ScenarioError(f"{path} is no TOML file: name the one that it was made from")
    return paths


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
