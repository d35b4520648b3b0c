"""A run's folder, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.errors import ScenarioError
from simulations.results.rows import (
    OPERATIONS_FILE,
    SAMPLES_FILE,
    SCENARIO_FILE,
    SUMMARY_FILE,
    OperationRow,
    Sample,
)
from simulations.results.tables import read_rows


@dataclass(frozen=True, slots=True)
class RunData:
    """A run read back; an interrupted run has an empty summary."""

    path: Path
    scenario: Mapping[str, Any]
    summary: Mapping[str, Any]
    operations: Sequence[OperationRow]
    samples: Sequence[Sample]

    def metric(self, name: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.metric == name]


def load(path: Path) -> RunData:
    """Read a run's folder; raises ScenarioError if it is none."""
    try:
        summary = path / SUMMARY_FILE
        return RunData(
            path,
            scenario_of(path),
            _json(summary) if summary.exists() else {},
            read_rows(path / OPERATIONS_FILE, OperationRow),
            read_rows(path / SAMPLES_FILE, Sample),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {_why(error)}") from error


def scenario_of(path: Path) -> dict[str, Any]:
    """The tables of what was run; raises ScenarioError if it is no run's folder."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ScenarioError(f"{path} {what}: name the folder that a run has left")
    try:
        return _json(path / SCENARIO_FILE)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {_why(error)}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return found


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"it has no {Path(error.filename).name}"
    return str(error)
