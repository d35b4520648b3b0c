"""Reference runs: what users are served by a scenario as it is, with several seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from simulations.errors import ScenarioError
from simulations.lab.many_runs.plan import read_plan
from simulations.lab.many_runs.sweeping import SweepOrder, SweepProgress, Workers, run_sweep
from simulations.results.run_data import RunData
from simulations.results.run_data import load as load_run
from simulations.scenario import load
from simulations.sections.service import Reference, ServiceSettings
from simulations.service.reference import Served, levels, served

Told = Callable[[str], None]


def references(
    paths: Sequence[Path], seeds: int, jobs: int, commit: str, tell: Told, parts: int = 1
) -> Iterator[tuple[Path, ServiceSettings]]:
    """Of each scenario file, once its runs are through, ``jobs`` at a time: a sweep whose folder is
    not kept.  Each run counts as so many as it has ``parts``.  Raises ScenarioError for one that
    failed or in which a checker found something."""
    for path in paths:
        with tempfile.TemporaryDirectory(prefix="dhtstore-reference-") as folder:
            order = SweepOrder(load(path), path.parent, [], seeds)
            failed = run_sweep(order, Path(folder), Workers(jobs), _teller(path, tell))
            if failed:
                raise ScenarioError(f"{path.stem} is no reference: {failed[0].error}")
            runs = [load_run(Path(folder) / name) for name in read_plan(Path(folder)).runs]
            found = [part for run in runs for part in _served(path, run, tell, parts)]
        reference = Reference(load(path).settings_sha256(path.parent), commit, seeds, parts)
        yield path, ServiceSettings(reference, levels(found))


def _teller(path: Path, tell: Told) -> Callable[[SweepProgress], None]:
    return lambda now: tell(f"{path.stem}: {now.done} of {now.total} runs")


def _served(path: Path, run: RunData, tell: Told, parts: int) -> Sequence[Mapping[str, Served]]:
    found, name = served(run.operations, parts), f"{path.stem}, seed {run.scenario['run']['seed']}"
    for part in found:
        tell(f"{name}: {', '.join(map(_line, part.items()))}")
    if run.summary["violations"]:
        raise ScenarioError(f"{name}, is no reference: {run.summary['violations'][0]}")
    return found


def _line(of: tuple[str, Served]) -> str:
    kind, one = of
    recall = f"recall {one.recall.value:.1%} " if one.recall.value else ""
    return (
        f"{one.operations} {kind} {one.success.value:.1%} {recall}p50 {one.p50_s.value:.3g} s "
        f"p95 {one.p95_s.value:.3g} s"
    )
