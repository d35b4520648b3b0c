"""A run's folder: everything needed to read, compare and repeat the run.

``scenario.json``   the tables as read, overrides included; with copies of the files they name
                    (a latency matrix, a trace of sessions, a module) enough to run it again
``summary.json``    counts, quantiles, the trace's SHA-256
``operations.csv``  one row per operation, as it ended
``samples.csv``     long form: time, metric, label, value

The CSV files begin with comment lines that name the run, so that each can be cited alone.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from dhtstore import __version__
from simulations.errors import ScenarioError
from simulations.scenario import Scenario

SCHEMA_VERSION = 1
_SCENARIO, _SUMMARY = "scenario.json", "summary.json"
_OPERATIONS, _SAMPLES = "operations.csv", "samples.csv"
_QUANTILES = {"p5": 0.05, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_SETTINGS = "scenario"
_NOT_COMPARED = (
    "wall_s", "messages_per_wall_s", "cpu_s", "cpu_us_per_message", "rss_bytes", "begin_cpu_s",
    "begin_rss_bytes", "git_sha", "version", "python",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation.  Times are virtual seconds since the world was made, as in samples and in
    the trace; ``hops``, ``queries`` and ``timeouts`` are 0
    where they mean nothing; ``error`` is "" or the name of what was raised."""

    start_s: float
    stop_s: float
    kind: str
    client: int
    object: int
    size_bytes: int
    hops: int
    queries: int
    timeouts: int
    ok: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric at a virtual time, counted as in OperationRow; ``label`` tells apart
    what has one value each."""

    time_s: float
    metric: str
    label: str
    value: float


class RunFolder:
    """Writes a run as it happens; what was written before an interruption can be read.

    Files that the scenario names are looked for in ``source`` and copied.  Raises ScenarioError
    if the folder cannot be written or holds a run already.
    """

    def __init__(self, path: Path, scenario: Scenario, seed: int, source: Path = Path()) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            if holds_run(path):
                raise ScenarioError(f"{path} holds a run already: choose another folder")
            self._begin(scenario, seed, source)
        except OSError as error:
            raise ScenarioError(f"cannot write to {path}: {error}") from error

    def _begin(self, scenario: Scenario, seed: int, source: Path) -> None:
        path, kept = self.path, scenario.with_files_beside()
        header = {
            "name": scenario.run.scenario,
            "seed": seed,
            "schema_version": SCHEMA_VERSION,
            "scenario_sha256": kept.sha256(),
            "version": __version__,
            "git_sha": git_sha(),
        }
        for key, name in scenario.files().items():
            data = _read_file(key, source / name)
            (path / Path(name).name).write_bytes(data)
            header[f"sha256_of_{Path(name).name}"] = hashlib.sha256(data).hexdigest()
        _write_json(path / _SCENARIO, kept.raw)
        self._header = header
        self._operations = _Table(path / _OPERATIONS, header, OperationRow)
        self._samples = _Table(path / _SAMPLES, header, Sample)

    def operation(self, row: OperationRow) -> None:
        self._operations.write(row)

    def sample(self, time_s: float, metric: str, value: float, label: str = "") -> None:
        self._samples.write(Sample(time_s, metric, label, value))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary; the header's fields are part of it."""
        self.close()
        _write_json(self.path / _SUMMARY, {**self._header, **summary})

    def close(self) -> None:
        self._operations.close()
        self._samples.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Table:
    """A CSV file of one dataclass."""

    def __init__(self, path: Path, header: Mapping[str, Any], row: type[Any]) -> None:
        self._file: TextIO = path.open("w", newline="")
        for key, value in header.items():
            self._file.write(f"# {key}: {value}\n")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(field.name for field in fields(row))

    def write(self, row: OperationRow | Sample) -> None:
        self._writer.writerow(_cell(value) for value in astuple(row))

    def close(self) -> None:
        self._file.close()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return format(value, ".9g") if isinstance(value, float) else value


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    os.replace(part, path)


def _read_file(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{key}: cannot read {path}: {error.strerror}") from error


def holds_run(path: Path) -> bool:
    return (path / _SCENARIO).exists()


def free_folder(path: Path) -> Path:
    """That folder, or the first of ``path-2``, ``path-3``... that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())


def git_sha() -> str:
    """The commit this code is from, with "-dirty" if it was changed since; "unknown" outside a
    checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    here = str(Path(__file__).parent)
    found = subprocess.run(  # noqa: S603 - no argument comes from outside
        [git, "-C", here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


# --- reading --------------------------------------------------------------------------------


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
        summary = path / _SUMMARY
        return RunData(
            path,
            json.loads((path / _SCENARIO).read_text()),
            json.loads(summary.read_text()) if summary.exists() else {},
            [_operation(row) for row in _rows(path / _OPERATIONS)],
            [_sample(row) for row in _rows(path / _SAMPLES)],
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
        **whole,
    )


def _sample(row: Mapping[str, str]) -> Sample:
    return Sample(float(row["time_s"]), row["metric"], row["label"], float(row["value"]))


# --- summaries ------------------------------------------------------------------------------


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest of the ordered values; NaN for none."""
    if not ordered:
        return math.nan
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def describe(values: Iterable[float]) -> dict[str, float]:
    """Count, mean, extremes and quantiles of some values."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    found = {name: quantile(ordered, share) for name, share in _QUANTILES.items()}
    mean = math.fsum(ordered) / len(ordered)
    return {"count": len(ordered), "mean": mean, "min": ordered[0], "max": ordered[-1], **found}


def summarise(operations: Iterable[OperationRow]) -> dict[str, Any]:
    """Per kind of operation: how many succeeded, how long those took, why the others failed."""
    by_kind: dict[str, list[OperationRow]] = {}
    for row in operations:
        by_kind.setdefault(row.kind, []).append(row)
    return {kind: _summary_of(rows) for kind, rows in sorted(by_kind.items())}


def _summary_of(rows: Sequence[OperationRow]) -> dict[str, Any]:
    good = [row for row in rows if row.ok]
    errors: dict[str, int] = {}
    for row in rows:
        if not row.ok:
            errors[row.error] = errors.get(row.error, 0) + 1
    return {
        "count": len(rows),
        "ok_share": len(good) / len(rows),
        "latency_s": describe(row.stop_s - row.start_s for row in good),
        "hops": describe(row.hops for row in good if row.hops),
        "queries": describe(row.queries for row in good if row.queries),
        "errors": dict(sorted(errors.items())),
    }


def compare(one: RunData, other: RunData) -> list[str]:
    """Where scenarios, then summaries differ, a line each; empty for two runs of one world."""
    a, b = (flat({_SETTINGS: run.scenario, **run.summary}) for run in (one, other))
    return [
        f"{key}: {_shown(a.get(key))} | {_shown(b.get(key))}{_change(a, b, key)}"
        for key in sorted(
            a.keys() | b.keys(), key=lambda key: (key.split(".")[0] != _SETTINGS, key)
        )
        if a.get(key) != b.get(key) and key.split(".")[0] not in _NOT_COMPARED
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within tables as one, with dots in the keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _shown(value: object) -> str:
    return format(value, ".6g") if isinstance(value, float) else str(value)


def _change(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> str:
    x, y = a.get(key), b.get(key)
    numbers = isinstance(x, int | float) and isinstance(y, int | float)
    return f" ({100 * (y - x) / abs(x):+.1f} %)" if numbers and x else ""
