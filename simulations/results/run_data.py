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
            json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {},
            read_rows(path / OPERATIONS_FILE, OperationRow),
            read_rows(path / SAMPLES_FILE, Sample),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {error}") from error


def scenario_of(path: Path) -> dict[str, Any]:
    """The tables of what was run; raises ScenarioError if it is no run's folder."""
    try:
        found: dict[str, Any] = json.loads((path / SCENARIO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {error}") from error
    return found
