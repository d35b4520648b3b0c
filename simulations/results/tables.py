"""Tables as CSV, and as Parquet beside it: the same values, with their types."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from simulations.errors import ScenarioError
from simulations.results.rows import OPERATIONS_FILE, SAMPLES_FILE, OperationRow, Sample

Columns = dict[str, list[Any]]
TABLES: Mapping[str, type[Any]] = {OPERATIONS_FILE: OperationRow, SAMPLES_FILE: Sample}
_READ: Mapping[object, Any] = {
    "float": float, "int": int, "str": str, "bool": lambda text: text == "1",
}  # fmt: skip


def cell(value: object) -> object:
    """As it is written in CSV: nine digits and, of numbers with more than three before the point,
    six behind it, so that differences of times late in a long run are true to a microsecond."""
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, float):
        return value
    return format(value, ".9g") if abs(value) < 1000 else format(round(value, 6), ".15g")


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    """Of a table whose first lines may be comments."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def read_rows(path: Path, kind: type[Any]) -> list[Any]:
    """A table of that dataclass; raises ValueError or KeyError for any other.  Columns that runs of
    before did not have may be missing, if their fields have defaults."""
    read = {field.name: _READ[field.type] for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    return [
        kind(
            **{name: one(row[name]) for name, one in read.items() if name in row or name in needed}
        )
        for row in csv_rows(path)
    ]


def write_table(path: Path, columns: Mapping[str, Sequence[Any]], told: Sequence[str]) -> None:
    """``path`` with .csv, which begins with what is ``told`` as comments, and with .parquet."""
    rows = zip(*columns.values(), strict=True)
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in told)
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows([cell(value) for value in row] for row in rows)
    _write_parquet(path.with_suffix(".parquet"), columns, {})


def parquet_beside(folder: Path) -> None:
    """Of the tables of a run; raises ScenarioError if they are none."""
    try:
        for name, kind in TABLES.items():
            rows, named = read_rows(folder / name, kind), fields(kind)
            columns = {field.name: [getattr(row, field.name) for row in rows] for field in named}
            types = {field.name: str(field.type) for field in named}
            _write_parquet((folder / name).with_suffix(".parquet"), columns, types)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{folder} is not the folder of a run: {error}") from error


def _write_parquet(
    path: Path, columns: Mapping[str, Iterable[Any]], types: Mapping[str, str]
) -> None:
    """Whole or not at all; nothing if the library is not installed.  ``types`` are needed where
    there may be no row to tell them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return
    known = {"float": pa.float64(), "int": pa.int64(), "str": pa.string(), "bool": pa.bool_()}
    table = pa.table(
        {
            name: pa.array([_as_in_csv(value) for value in values], known.get(types.get(name, "")))
            for name, values in columns.items()
        }
    )
    part = path.with_suffix(".part")
    pq.write_table(table, part)
    os.replace(part, path)


def _as_in_csv(value: Any) -> Any:
    return float(str(cell(value))) if isinstance(value, float) else value
