"""One run of many: functions of plain values, which any process can do.

What a run leaves stands under its final name only when it is finished, so that one that was cut
off anywhere is not taken for one that was not.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.errors import ScenarioError, unwritable
from simulations.lab.one_run.experiment import Experiment
from simulations.results.identity import code_digest
from simulations.results.rows import SUMMARY_FILE
from simulations.results.run_folder import RunFolder, holds_run
from simulations.results.tables import parquet_beside
from simulations.scenario import Scenario, from_tables

PART = ".part-"  # how the folders of runs under way begin
OTHER_CODE = "this worker has another version of the code"
_one_at_a_time = threading.Lock()  # a run's guard and collector are those of its process


def run_one(
    scenario: Scenario, seed: int, out: Path | None, source: Path = Path()
) -> dict[str, Any]:
    """Run to the end into ``out``, a new folder (nowhere if None); the summary.

    Files that the scenario names are looked for in ``source``.  Raises ScenarioError, what the run
    itself raises, and KeyboardInterrupt; then nothing is left at ``out``.
    """
    if out is None:
        return _uninterrupted(Experiment(scenario, seed, None, folder=source))
    if holds_run(out):
        raise ScenarioError(f"{out} holds a run already: choose another folder")
    if out.exists() and not out.is_dir():
        raise unwritable(out, FileExistsError())
    part = _folder_beside(out)
    try:
        with RunFolder(part, scenario, seed, source) as kept:
            summary = _uninterrupted(Experiment(scenario, seed, kept, folder=source))
        parquet_beside(part)
        os.replace(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return summary


def _folder_beside(out: Path) -> Path:
    try:
        part = out.with_name(f"{PART}{out.name}-{secrets.token_hex(6)}")
        part.mkdir(parents=True)
        return part
    except OSError as error:
        raise unwritable(out.parent, error) from error


def _uninterrupted(experiment: Experiment) -> dict[str, Any]:
    summary = experiment.run()
    if summary["interrupted"]:
        raise KeyboardInterrupt
    return summary


@dataclass(frozen=True, slots=True)
class RunTask:
    """A run of a sweep, for whoever does it: plain values, which also another version of the code
    can read.  ``code_sha256`` is that of who asks."""

    name: str
    settings: tuple[str, ...]
    tables: Mapping[str, Any]
    out: str
    source: str
    code_sha256: str


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How it ended: ``error`` if it failed, else how many ``violations`` of checkers, what of its
    service level or of what is asked was ``violated``, and which trace."""

    name: str
    settings: tuple[str, ...]
    error: str = ""
    violations: int = 0
    violated: tuple[str, ...] = ()
    trace_sha256: str = ""


def do(task: RunTask) -> RunEnd:
    """As ``run_one``; a run that fails is told of, not raised: it is a result.  One that is
    finished already, by a worker that was lost before it could say so, is not done again."""
    if code_digest() != task.code_sha256:
        return RunEnd(task.name, task.settings, error=OTHER_CODE)
    out = Path(task.out)
    try:
        scenario = from_tables(task.tables)
        with _one_at_a_time:
            summary = finished(out) or run_one(scenario, scenario.run.seed, out, Path(task.source))
    except Exception as error:
        return RunEnd(task.name, task.settings, error=f"{type(error).__name__}: {error}")
    return RunEnd(
        task.name,
        task.settings,
        violations=len(summary["violations"]),
        violated=(*summary["service"]["violated"], *summary["asked"]["violated"]),
        trace_sha256=summary["trace_sha256"],
    )


def finished(path: Path) -> dict[str, Any]:
    """The summary of a run that came to its end there; empty if there is none.  Raises
    ScenarioError if it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((path / SUMMARY_FILE).read_text(encoding="utf-8"))
        return {} if found["interrupted"] or found["failed"] else found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {error}") from error
