"""``replay``: the world of a folder again; is it the same trace?"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from simulations.commands.common import (
    Subparsers,
    asked_told,
    exit_code,
    progress_bar,
    run_of,
)
from simulations.commands.selecting import selection_of, selection_options
from simulations.errors import INTERRUPTED, ScenarioError
from simulations.events.fault_schedule import Fault
from simulations.lab.many_runs import explore
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.watching import watched
from simulations.messages.selection import Selection
from simulations.messages.table import Count, chosen_of, csv_rows, lines
from simulations.results import run_data, run_folder
from simulations.scenario import Scenario, from_tables


def add(commands: Subparsers) -> None:
    command = commands.add_parser("replay", help="run a folder's world again, compare the traces")
    command.add_argument("folder", type=Path, help="what a run has left")
    command.add_argument(
        "--messages", action="store_true", help="tell who asked whom what, and why it failed"
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="write them as a table instead")
    selection_options(command)
    command.set_defaults(do=_replay)


def _replay(chosen: argparse.Namespace) -> int:
    scenario, faults, before = _kept(run_of(chosen.folder))
    with progress_bar() as progress:
        experiment = Experiment(
            scenario, before["seed"], None, folder=chosen.folder, faults=faults, progress=progress
        )
        with _telling(experiment, chosen):
            now = {"git_sha": run_folder.git_sha(), **experiment.run()}
    if now["interrupted"]:
        return INTERRUPTED
    for when, which in (("before", before), ("now   ", now)):
        print(f"{when} {which['trace_sha256']}  commit {which['git_sha']}")
    for violation in now["violations"]:
        print(f"violation: {violation}")
    for line in now["service"]["violated"]:
        print(f"service level violated: {line}")
    for line in asked_told(now):
        print(line)
    same = now["trace_sha256"] == before["trace_sha256"]
    print("the same trace" if same else "another trace: the code differs")
    return exit_code(now) if same else 1


@contextlib.contextmanager
def _telling(experiment: Experiment, chosen: argparse.Namespace) -> Iterator[None]:
    """Tell the messages that were asked for, if any were, and how many these are."""
    selection = selection_of(chosen)
    if chosen.csv is None and not chosen.messages and selection == Selection():
        yield
        return
    where = contextlib.nullcontext() if chosen.csv is None else _new_file(chosen.csv)
    with where as file:
        shown = csv_rows(file) if file is not None else lines(print)
        count = Count()
        with watched(experiment, partial(chosen_of, shown, selection, count)):
            yield
    told = f"{count.told} of {count.seen} messages are of those that were asked for"
    print(told if chosen.csv is None else f"{told}: {chosen.csv}")
    for line in _unknown(chosen, count):
        print(line)


def _unknown(chosen: argparse.Namespace, count: Count) -> Iterator[str]:
    if unknown := [kind for kind in chosen.kind if kind not in count.kinds]:
        known = ", ".join(sorted(count.kinds))
        yield f"none is of kind {', '.join(unknown)}; there are {known}"
    for number in (chosen.node, chosen.source, chosen.target):
        if number is not None and number not in count.nodes and count.nodes:
            yield f"none is of node {number}; there are nodes up to {max(count.nodes)}"


def _new_file(path: Path) -> TextIO:
    try:
        return path.open("x", encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"cannot write {path}: {error.strerror}; choose a new file") from error


def _kept(folder: Path) -> tuple[Scenario, list[Fault] | None, dict[str, Any]]:
    try:
        run = run_data.load(folder)
        if run.summary.get("interrupted", True):
            raise ValueError("the run was interrupted; `run` it again from its folder")
        if run.summary["parts_given"]:
            raise ValueError("parts of its code were given by a program and are not in the folder")
        kept = folder / explore.FAULTS
        faults = (
            [Fault.of(v) for v in json.loads(kept.read_text(encoding="utf-8"))]
            if kept.exists()
            else None
        )
        return from_tables(run.scenario), faults, dict(run.summary)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{folder} cannot be replayed: {error}") from error
