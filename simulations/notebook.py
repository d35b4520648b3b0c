"""Runs and sweeps from a notebook or a script, with their results as tables of pandas.

    from simulations import run, sweep, load

    lossy = run("lookup", {"run.nodes": 500, "network.loss": "2 %"}, seed=7)
    lossy.operations.groupby("kind").ok.mean()

    swept = sweep("lookup", vary={"network.loss": ["0", "2 %", "5 %"]}, seeds=10, jobs=2)
    swept.summary.groupby("network.loss").lookup_ok_share.mean()

    load("runs/lookup-sweep").estimates

A script that sweeps must do so below ``if __name__ == "__main__":``, since its workers import it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulations.commands.common import find_scenario
from simulations.errors import ScenarioError, SimulationError
from simulations.lab.many_runs import estimates, plan
from simulations.lab.many_runs import sweep as swept
from simulations.lab.many_runs.one import finished, run_one
from simulations.lab.many_runs.sweeping import SweepOrder, Workers, folder_to_go_on_in, run_sweep
from simulations.results.rows import OPERATIONS_FILE, SAMPLES_FILE
from simulations.results.run_folder import free_folder
from simulations.results.tables import TABLES, read_rows
from simulations.scenario import Scenario
from simulations.scenario import load as load_scenario

if TYPE_CHECKING:
    from pandas import DataFrame

Settings = Mapping[str, object]


@dataclass(frozen=True)
class Results:
    """Of a run, or of all finished runs of a sweep, in ``folder``.  The tables are read when they
    are asked for; those of a sweep begin with the varied keys, as written, and the seed."""

    folder: Path

    @functools.cached_property
    def operations(self) -> DataFrame:
        """A row for each operation: the columns of ``operations.csv``."""
        return self._rows(OPERATIONS_FILE)

    @functools.cached_property
    def samples(self) -> DataFrame:
        """A row for each sample: the columns of ``samples.csv``."""
        return self._rows(SAMPLES_FILE)

    @functools.cached_property
    def summary(self) -> DataFrame:
        """A row for each run: what a sweep takes up as measures, as ``lookup_ok_share``."""
        return _frame(estimates.run_columns(self._sweep))

    @functools.cached_property
    def estimates(self) -> DataFrame:
        """A row for each measure of each setting: its mean over the runs, with the 95 % confidence
        interval."""
        found = estimates.estimates(self._sweep)
        return _frame(estimates.estimate_columns(self._sweep, found))

    @functools.cached_property
    def _sweep(self) -> swept.Sweep:
        known = plan.is_sweep(self.folder)
        return swept.load(self.folder) if known else swept.of_one_run(self.folder)

    def _rows(self, name: str) -> DataFrame:
        pandas = _pandas()
        if not plan.is_sweep(self.folder):
            return _rows_of(self.folder / name)
        frames = []
        for run in self._sweep.runs:
            told = {"run": run.name, **dict(run.settings), "seed": run.seed}
            frame = _rows_of(self.folder / run.name / name)
            for place, (column, value) in enumerate(told.items()):
                frame.insert(place, column, value)
            frames.append(frame)
        return pandas.concat(frames, ignore_index=True)


def run(
    scenario: str | Path,
    settings: Settings | None = None,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
) -> Results:
    """One run into ``out``, a new folder (default runs/NAME-SEED).  ``scenario`` is a name at hand,
    a TOML file, or a run's folder; ``settings`` are by ``section.key``, as ``--set``.  Raises
    ScenarioError, and what the run raises."""
    found, path = _scenario(scenario, settings, seed)
    name = f"{found.run.scenario or path.stem}-{found.run.seed}"
    folder = Path(out) if out is not None else free_folder(Path("runs") / name)
    run_one(found, found.run.seed, folder, path.parent)
    return Results(folder)


def sweep(
    scenario: str | Path,
    settings: Settings | None = None,
    *,
    vary: Mapping[str, Sequence[object]] | None = None,
    seeds: int = 10,
    seed: int | None = None,
    jobs: int = 1,
    scheduler: str = "",
    out: str | Path | None = None,
) -> Results:
    """Every combination of values of ``vary`` with so many seeds, on so many processes or on the
    Dask cluster of a ``scheduler``, into ``out`` (default runs/NAME-sweep).  Runs that are finished
    there are not made again.  Raises ScenarioError, and SimulationError if runs failed: the others
    are there, and ``load`` reads them."""
    found, path = _scenario(scenario, settings, seed)
    axes = [_axis(key, values) for key, values in (vary or {}).items()]
    order = SweepOrder(found, path.parent, axes, seeds)
    name = f"{found.run.scenario or path.stem}-sweep"
    folder = Path(out) if out is not None else folder_to_go_on_in(Path("runs") / name, order)
    failed = run_sweep(order, folder, Workers(jobs, scheduler), lambda progress: None)
    if failed:
        told = "; ".join(f"{folder / end.name}: {end.error}" for end in failed[:3])
        raise SimulationError(f"{len(failed)} runs failed twice: {told}")
    return Results(folder)


def _axis(key: str, values: Sequence[object]) -> str:
    """As on the command line; a string would be taken for a list of its letters."""
    if isinstance(values, str) or not len(values):
        raise ScenarioError(f"vary: {key} needs a list of values, not {values!r}")
    return f"{key}={','.join(map(_written, values))}"


def load(folder: str | Path) -> Results:
    """What a run or a sweep left; raises ScenarioError."""
    path = Path(folder)
    if not plan.is_sweep(path) and not finished(path):
        raise ScenarioError(f"{path} holds neither a finished run nor a sweep")
    return Results(path)


# --- pieces ---------------------------------------------------------------------------------


def _scenario(
    name: str | Path, settings: Settings | None, seed: int | None
) -> tuple[Scenario, Path]:
    path = find_scenario(str(name))
    overrides = [f"{key}={_written(value)}" for key, value in (settings or {}).items()]
    overrides += [f"run.seed={seed}"] if seed is not None else []
    return load_scenario(path, overrides), path


def _written(value: object) -> str:
    """As on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows_of(path: Path) -> DataFrame:
    """From Parquet if it is there, else from CSV: they hold the same."""
    pandas, kind = _pandas(), TABLES[path.name]
    parquet = path.with_suffix(".parquet")
    if parquet.exists():
        return pandas.read_parquet(parquet)
    return _frame(_columns(read_rows(path, kind), list(kind.__dataclass_fields__)))


def _columns(rows: Sequence[Any], names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in names}


def _frame(columns: Mapping[str, Sequence[Any]]) -> DataFrame:
    return _pandas().DataFrame(dict(columns))


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ScenarioError(f"{error}; pip install 'dhtstore[simulations]' has it") from error
    return pandas
