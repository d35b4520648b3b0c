"""The seed explorer: small random worlds with all faults on, and the smallest failing one.

A seed gives a whole world: its size, its network, its churn, its faults, its users.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.errors import SimulationError
from simulations.events.fault_schedule import Fault
from simulations.lab.one_run.experiment import Experiment
from simulations.results.run_folder import RunFolder, free_folder
from simulations.scenario import Scenario, from_tables
from simulations.seeds import derived_seed

FAULTS = "faults.json"
_SHRINKING_RUNS_MAX = 60
Attempt = Callable[[Scenario, list[Fault] | None], "FailingWorld | None"]


@dataclass(frozen=True, slots=True)
class FailingWorld:
    """A world in which something that must hold did not."""

    seed: int
    scenario: Scenario
    faults: list[Fault]
    what: str
    checker: str


def world_of(seed: int) -> Scenario:
    """A random small world; every setting drawn by the seed."""
    rng = random.Random(derived_seed(seed, "explorer"))

    def some(high: float) -> float:
        """Nothing in a third of the worlds, else up to ``high``."""
        return 0.0 if rng.random() < 1 / 3 else round(rng.random() * high, 4)

    return from_tables(
        {
            "run": {
                "scenario": "explore",
                "seed": seed,
                "nodes": rng.randint(20, 60),
                "duration_s": f"{rng.choice((10, 20, 40))} min",
                "warm_start": rng.random() < 0.7,
                "storage_share": rng.choice((1.0, 0.8, 0.5)),
                "capacity_bytes": rng.choice(("1 GiB", "64 MiB", "4 MiB")),
                "clock_skew_s": f"{rng.choice((0, 1, 60))} s",
            },
            "network": {
                "latency": rng.choice(("coordinates", "uniform", "fixed")),
                "loss": some(0.05),
                "duplicate": some(0.05),
                "reorder": some(0.05),
                "undiallable": some(0.3),
                "slow": some(0.2),
                "up_bytes_per_s": rng.choice(("unlimited", "2 MiB/s", "200 KiB/s")),
            },
            "churn": {
                "preset": rng.choice(("none", "kad", "bittorrent", "ipfs", "custom")),
                "session_median_s": "5 min",
                "absence_median_s": "2 min",
                "always_on": some(0.5),
                "keep_data": rng.choice((1.0, 0.5)),
            },
            "faults": {
                "crashes_per_h": some(6),
                "lost_writes_per_h": some(6),
                "disk_full_per_h": some(4),
                "slow_disk_per_h": some(4),
                "bit_rot_per_h": some(2),
                "sleeps_per_h": some(4),
                "asleep_s": "5 min",
                "drops_per_h": some(10),
                "partitions_per_h": some(6),
                "lying": some(0.1),
                "lasting_s": "1 min",
            },
            "workload": {
                "kind": rng.choice(("mix", "mix", "flash_crowd", "reprovide")),
                "operations_per_s": 0.2,
                "objects": 40,
                "crowd": 20,
                "size_median_bytes": "64 KiB",
                "size_max_bytes": "6 MiB",
            },
        }
    )


def try_seed(seed: int) -> FailingWorld | None:
    """Run a seed's world; what went wrong, if anything."""
    return attempt(world_of(seed), None)


def attempt(scenario: Scenario, faults: list[Fault] | None) -> FailingWorld | None:
    """Run one world, with its own faults or with these."""
    experiment = Experiment(scenario, scenario.run.seed, None, folder=Path(), faults=faults)
    try:
        summary = experiment.run()
    except SimulationError as error:
        text, checker = f"{type(error).__name__}: {error}", type(error).__name__
        return FailingWorld(scenario.run.seed, scenario, experiment.faults, text, checker)
    if summary["interrupted"]:
        raise KeyboardInterrupt  # by whoever started the search
    if not summary["violations"]:
        return None
    first = experiment.violations[0]
    text = f"{first.checker}: {first.what}"
    return FailingWorld(scenario.run.seed, scenario, experiment.faults, text, first.checker)


def shrink(failure: FailingWorld, run: Attempt = attempt) -> FailingWorld:
    """The same failure with fewer faults and nodes, by leaving out ever smaller parts."""
    budget = _SHRINKING_RUNS_MAX
    size = max(1, len(failure.faults) // 2)
    while failure.faults and budget > 0:
        smaller = None
        for start in range(0, len(failure.faults), size):
            kept = failure.faults[:start] + failure.faults[start + size :]
            budget -= 1
            smaller = _same(failure, run(failure.scenario, kept))
            if smaller is not None or budget <= 0:
                break
        if smaller is not None:
            failure = smaller
            size = max(1, min(size, len(failure.faults) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return _fewer_nodes(failure, run)


def _fewer_nodes(failure: FailingWorld, run: Attempt) -> FailingWorld:
    nodes = failure.scenario.run.nodes
    step = nodes // 3
    while step >= 1:
        faults = [fault for fault in failure.faults if fault.node < nodes - step]
        scenario = from_tables(failure.scenario.raw, [f"run.nodes={nodes - step}"])
        smaller = _same(failure, run(scenario, faults))
        if smaller is None:
            step //= 2
        else:
            failure, nodes = smaller, nodes - step
            step = min(step, nodes // 3)
    return failure


def _same(failure: FailingWorld, found: FailingWorld | None) -> FailingWorld | None:
    """Another failure found on the way is not the one that is being shrunk."""
    return found if found is not None and found.checker == failure.checker else None


def keep(failure: FailingWorld, out: Path) -> Path:
    """Write what ``replay`` needs; returns the folder."""
    folder = free_folder(out / f"seed-{failure.seed}")
    faults: Sequence[dict[str, Any]] = [fault.plain() for fault in failure.faults]
    with RunFolder(folder, failure.scenario, failure.seed) as results:
        (folder / FAULTS).write_text(json.dumps(faults, indent=1) + "\n", encoding="utf-8")
        experiment = Experiment(
            failure.scenario, failure.seed, results, folder=Path(), faults=list(failure.faults)
        )
        with contextlib.suppress(SimulationError):  # it is in the summary
            experiment.run()
    return folder
