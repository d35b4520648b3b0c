"""A sweep: its folder, its runs on a cluster, and what is told meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.errors import ScenarioError
from simulations.lab.many_runs import cluster, local_workers, plan
from simulations.lab.many_runs.branches import Branch, check_modules, combinations
from simulations.lab.many_runs.one import RunEnd
from simulations.results.run_folder import numbered
from simulations.scenario import Scenario

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True)
class SweepOrder:
    """What to run: ``scenario``, whose files are in ``source``, with every combination of ``vary``
    and with ``seeds`` seeds from the scenario's on."""

    scenario: Scenario
    source: Path
    vary: Sequence[str]
    seeds: int

    def ways(self) -> list[Branch]:
        """All runs; raises ScenarioError."""
        if self.seeds < 1:
            raise ScenarioError(f"seeds: {self.seeds} is less than 1")
        first = self.scenario.run.seed
        seeds = range(first, first + self.seeds)
        return combinations(self.scenario, self.vary, "run.seed", seeds)


@dataclass(frozen=True, slots=True)
class Workers:
    """Where runs are made: on so many processes here, or on the cluster of a ``scheduler``.
    Raises ScenarioError for no process at all, whose runs would be waited for for ever."""

    jobs: int = 1
    scheduler: str = ""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ScenarioError(f"jobs: {self.jobs} is less than 1")


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """``done`` of ``total`` runs; the last to end, if any, and whether it is tried ``again``."""

    done: int
    total: int
    end: RunEnd | None = None
    again: bool = False


def run_sweep(
    order: SweepOrder, out: Path, workers: Workers, tell: Callable[[SweepProgress], None]
) -> list[RunEnd]:
    """Make the runs that are not finished in ``out``; those that failed twice.  Raises
    ScenarioError, and KeyboardInterrupt as soon as the runs under way have been stopped."""
    ways, failed = order.ways(), list[RunEnd]()
    check_modules(ways, order.source)
    with plan.only_one(out):
        joined = plan.joined_plan(out, order.scenario, ways, order.source)
        tasks, done = plan.tasks_of(joined, out, ways, order.source)
        tell(SweepProgress(done, len(ways)))
        if not tasks:
            return []
        with _cluster(workers, len(tasks), out) as client:
            for end, again in cluster.ends_of(client, tasks):
                done += 0 if end.error else 1
                failed += [end] if end.error and not again else []
                tell(SweepProgress(done, len(ways), end, again))
    return failed


@contextlib.contextmanager
def _cluster(workers: Workers, runs: int, out: Path) -> Iterator[Client]:
    if workers.scheduler:
        with cluster.connected(workers.scheduler) as client:
            yield client
        return
    try:
        with local_workers.local(min(workers.jobs, runs)) as client:
            yield client
    finally:
        plan.remove_cut_off(out)  # nobody is left who could be at it


def folder_to_go_on_in(wanted: Path, order: SweepOrder) -> Path:
    """That folder, or the first of ``wanted-2``... that is free or holds runs of the same sweep."""
    ways = order.ways()
    return next(
        path
        for path in numbered(wanted)
        if not path.exists() or plan.can_join(path, order.scenario, ways, order.source)
    )
