"""The folder of a sweep: which runs it has, and which of them are finished.

``sweep.json`` says with which values each was made, and of what.  The same command goes on where it
stopped; with more seeds or values it makes those that are missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from simulations.errors import ScenarioError, unwritable
from simulations.lab.many_runs.branches import Branch
from simulations.lab.many_runs.one import PART, RunTask, finished
from simulations.results.identity import code_digest, run_digest
from simulations.scenario import Scenario

REPEATED = ("run.seed", "run.future")  # what tells runs of one setting apart
_PLAN = "sweep.json"
_NAME = re.compile(r"[0-9]{1,9}")  # of a run's folder; no path leads out of the sweep's


@dataclass(frozen=True, slots=True)
class Plan:
    """``runs``: what was set, by the name of the folder; the digests are of what they share."""

    base_sha256: str
    code_sha256: str
    runs: dict[str, tuple[str, ...]]


def is_sweep(path: Path) -> bool:
    return (path / _PLAN).exists()


def read_plan(path: Path) -> Plan:
    """Raises ScenarioError if there is none."""
    try:
        read = json.loads((path / _PLAN).read_text(encoding="utf-8"))
        runs = {str(name): tuple(map(str, values)) for name, values in read["runs"].items()}
        if not all(_NAME.fullmatch(name) for name in runs):
            raise ValueError("a run's name is no number")
        return Plan(str(read["base_sha256"]), str(read["code_sha256"]), runs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScenarioError(f"{path} is not a folder of runs: {error}") from error


def folder_of(number: int) -> str:
    """The name of the folder of the so-manieth run, from 0."""
    return f"{number + 1:03}"


def new_plan(path: Path, base: Scenario, ways: Sequence[Branch], source: Path) -> Plan:
    """Make the folder of runs; raises ScenarioError if there is something in it."""
    runs = {folder_of(number): way.settings for number, way in enumerate(ways)}
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ScenarioError(f"{path} is not empty: choose another folder")
    except OSError as error:
        raise unwritable(path, error) from error
    return _written(path, Plan(base.settings_sha256(source), code_digest(), runs))


def joined_plan(path: Path, base: Scenario, ways: Sequence[Branch], source: Path) -> Plan:
    """As ``new_plan``, or the one that is there with what is missing; raises ScenarioError if that
    is of another scenario, of other code, or of other keys."""
    if not is_sweep(path):
        return new_plan(path, base, ways, source)
    there = read_plan(path)
    _check_same(path, there, base, ways, source)
    names = {settings: name for name, settings in there.runs.items()}
    for way in ways:
        names.setdefault(way.settings, folder_of(len(names)))
    return _written(path, replace(there, runs={name: each for each, name in names.items()}))


def can_join(path: Path, base: Scenario, ways: Sequence[Branch], source: Path) -> bool:
    """Whether a sweep lies there that these runs belong to."""
    try:
        _check_same(path, read_plan(path), base, ways, source)
    except ScenarioError:
        return False
    return True


def _check_same(
    path: Path, there: Plan, base: Scenario, ways: Sequence[Branch], source: Path
) -> None:
    keys = {_keys(way) for way in (*there.runs.values(), *(way.settings for way in ways))}
    for same, what in (
        (there.base_sha256 == base.settings_sha256(source), "of another scenario"),
        (there.code_sha256 == code_digest(), "of another version of the code"),
        (len(keys) == 1, "in which other keys vary"),
    ):
        if not same:
            raise ScenarioError(f"{path} holds runs {what}: choose another folder")


def _keys(settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(one.partition("=")[0] for one in settings)


def tasks_of(
    plan: Plan, path: Path, ways: Sequence[Branch], source: Path
) -> tuple[list[RunTask], int]:
    """The runs that are still to be made, and how many of ``ways`` are finished; removes what was
    cut off.  Raises ScenarioError if a finished run is not what it should be."""
    remove_cut_off(path)
    names = {settings: name for name, settings in plan.runs.items()}
    tasks = [
        RunTask(
            names[way.settings],
            way.settings,
            way.scenario.raw,
            str((path / names[way.settings]).resolve()),
            str(source.resolve()),
            plan.code_sha256,
        )
        for way in ways
        if not _is_done(path / names[way.settings], way.scenario, source)
    ]
    return tasks, len(ways) - len(tasks)


def remove_cut_off(path: Path) -> None:
    """What is left of runs that did not end."""
    for part in path.glob(f"{PART}*"):
        shutil.rmtree(part, ignore_errors=True)


def _is_done(path: Path, scenario: Scenario, source: Path) -> bool:
    summary = finished(path)
    if not summary:
        if path.exists():
            raise ScenarioError(f"{path} is no finished run of this: move it away")
        return False
    digest = run_digest(scenario, scenario.run.seed, source)
    if (summary.get("run_sha256"), summary.get("code_sha256")) != (digest, code_digest()):
        raise ScenarioError(f"{path} holds another run than it should: choose another folder")
    return True


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Raises ScenarioError while another sweep runs in that folder, which is made if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _lock(folder, path)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ScenarioError(f"another sweep runs in {path}") from error


def _written(path: Path, plan: Plan) -> Plan:
    part = path / f"{_PLAN}.part"
    try:
        part.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path / _PLAN)
    except OSError as error:
        raise unwritable(path, error) from error
    return plan
