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
import functools
import hashlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from dhtstore import __version__
from simulations.errors import ScenarioError, unwritable
from simulations.results.identity import code_digest, run_digest
from simulations.results.rows import (
    MESSAGES_FILE,
    OPERATIONS_FILE,
    SAMPLES_FILE,
    SCENARIO_FILE,
    SUMMARY_FILE,
    TRACE_FILE,
    OperationRow,
    Sample,
)
from simulations.results.tables import cell
from simulations.scenario import Scenario

SCHEMA_VERSION = 1
_WRITTEN = (
    SCENARIO_FILE, SUMMARY_FILE, OPERATIONS_FILE, SAMPLES_FILE, TRACE_FILE, MESSAGES_FILE,
)  # fmt: skip


class RunFolder:
    """Writes a run as it happens; what was written before an interruption can be read.

    Files that the scenario names are looked for in ``source`` and copied.  Raises ScenarioError
    if the folder cannot be written or holds a run already, or a copy would be written over.
    """

    def __init__(self, path: Path, scenario: Scenario, seed: int, source: Path = Path()) -> None:
        self.path = path
        _check_names(scenario)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if holds_run(path):
                raise ScenarioError(f"{path} holds a run already: choose another folder")
            self._begin(scenario, seed, source)
        except OSError as error:
            raise unwritable(path, error) from error

    def _begin(self, scenario: Scenario, seed: int, source: Path) -> None:
        path, kept = self.path, scenario.with_files_beside()
        header = {
            "name": scenario.run.scenario,
            "seed": seed,
            "schema_version": SCHEMA_VERSION,
            "scenario_sha256": kept.sha256(),
            "version": __version__,
            "git_sha": git_sha(),
            "run_sha256": run_digest(scenario, seed, source),
            "code_sha256": code_digest(),
        }
        for name in scenario.files().values():
            data = (source / name).read_bytes()
            (path / Path(name).name).write_bytes(data)
            header[f"sha256_of_{Path(name).name}"] = hashlib.sha256(data).hexdigest()
        _write_json(path / SCENARIO_FILE, kept.raw)
        self._header = header
        self._operations = _Table(path / OPERATIONS_FILE, header, OperationRow)
        self._samples = _Table(path / SAMPLES_FILE, header, Sample)

    def operation(self, row: OperationRow) -> None:
        self._operations.write(row)

    def sample(self, time_s: float, metric: str, value: float, label: str = "") -> None:
        self._samples.write(Sample(time_s, metric, label, value))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary; the header's fields are part of it."""
        self.close()
        _write_json(self.path / SUMMARY_FILE, {**self._header, **summary})

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
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        for key, value in header.items():
            self._file.write(f"# {key}: {value}\n")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(field.name for field in fields(row))

    def write(self, row: OperationRow | Sample) -> None:
        self._writer.writerow(cell(value) for value in astuple(row))

    def close(self) -> None:
        self._file.close()


def _check_names(scenario: Scenario) -> None:
    for key, name in scenario.files().items():
        if Path(name).name in _WRITTEN:
            raise ScenarioError(f"{key}: runs write a {name} of their own: give it another name")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path)


def holds_run(path: Path) -> bool:
    return (path / SCENARIO_FILE).exists()


def free_folder(path: Path) -> Path:
    """The first of the numbered that does not exist."""
    return next(one for one in numbered(path) if not one.exists())


def numbered(path: Path) -> Iterator[Path]:
    """That folder, then ``path-2``, ``path-3``..."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


@functools.cache  # of the code that runs here, however many runs it does
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
