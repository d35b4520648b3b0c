"""Reference runs: what users are served by a scenario as it is, with several seeds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from simulations.errors import ScenarioError
from simulations.lab.one_run.experiment import Experiment
from simulations.scenario import load
from simulations.sections.service import Reference, ServiceSettings
from simulations.service.reference import Served, levels, served

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """What was served, by kind of operation; ``violations`` is what checkers found."""

    served: Mapping[str, Served]
    violations: Sequence[str]


def reference_run(path: Path, seed: int) -> ReferenceRun:
    """Of a scenario file, in this process."""
    scenario = load(path, [f"run.seed={seed}"])
    experiment = Experiment(scenario, seed, None, folder=path.parent)
    summary = experiment.run()
    if summary["interrupted"]:
        raise KeyboardInterrupt
    return ReferenceRun(served(experiment.recorder.rows), summary["violations"])


def references(
    paths: Sequence[Path], seeds: int, jobs: int, commit: str, tell: Told
) -> Iterator[tuple[Path, ServiceSettings]]:
    """Of each file, as its runs are through, ``jobs`` runs at a time in processes of their own;
    raises ScenarioError for one in which a checker found something."""
    first = {path: load(path).run.seed for path in paths}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=fresh, max_tasks_per_child=1) as processes:
        try:
            begun = {
                path: [processes.submit(reference_run, path, first[path] + n) for n in range(seeds)]
                for path in paths
            }
            for path, futures in begun.items():
                yield path, _levels_of(path, _ended(path, first[path], futures, tell), commit)
        finally:
            processes.shutdown(wait=False, cancel_futures=True)


def _ended(
    path: Path, first: int, futures: Sequence[Future[ReferenceRun]], tell: Told
) -> Iterator[ReferenceRun]:
    for seed, future in enumerate(futures, first):
        run = future.result()
        tell(f"{path.stem}, seed {seed}: {', '.join(map(_line, run.served.items()))}")
        if run.violations:
            raise ScenarioError(f"{path.stem}, seed {seed}, is no reference: {run.violations[0]}")
        yield run


def _line(of: tuple[str, Served]) -> str:
    kind, one = of
    return (
        f"{one.operations} {kind} {one.success.value:.1%} p50 {one.p50_s.value:.3g} s "
        f"p95 {one.p95_s.value:.3g} s"
    )


def _levels_of(path: Path, runs: Iterator[ReferenceRun], commit: str) -> ServiceSettings:
    found = [run.served for run in runs]
    reference = Reference(load(path).settings_sha256(path.parent), commit, len(found))
    return ServiceSettings(reference, levels(found))
