"""A run's folder, read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
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
            json.loads((path / SCENARIO_FILE).read_text(encoding="utf-8")),
            json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {},
            [_operation(row) for row in _rows(path / OPERATIONS_FILE)],
            [_sample(row) for row in _rows(path / SAMPLES_FILE)],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path} is not the folder of a run: {error}") from error


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _operation(row: Mapping[str, str]) -> OperationRow:
    whole = {k: int(row[k]) for k in ("client", "object", "size_bytes", "hops", "queries")}
    return OperationRow(
        start_s=float(row["start_s"]),
        stop_s=float(row["stop_s"]),
        kind=row["kind"],
        timeouts=int(row["timeouts"]),
        ok=row["ok"] == "1",
        error=row["error"],
        adversaries=int(row.get("adversaries", 0)),  # runs of before have none
        **whole,
    )


def _sample(row: Mapping[str, str]) -> Sample:
    return Sample(float(row["time_s"]), row["metric"], row["label"], float(row["value"]))
