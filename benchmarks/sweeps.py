"""A sweep of many short runs on two workers, beside the same runs one after the other.

The interpreter, imports and the cluster count as part of the sweep: a user waits for them, too.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.report import Row, at_most
from simulations.lab.many_runs.one import run_one
from simulations.lab.many_runs.sweeping import SweepOrder, Workers, run_sweep
from simulations.scenario import Scenario, from_tables

RUNS, WORKERS = 200, 2
_WORLD = {
    "run": {"nodes": 60, "duration_s": "2 min"},
    "workload": {"kind": "lookups", "operations_per_s": 2.0},
}


def sweeps(directory: Path) -> list[Row]:
    """What two workers take, in halves of what one process takes."""
    scenario = from_tables(_WORLD)
    together_s = _together_s(scenario, directory / "sweep")
    serial_s = _serial_s(scenario, directory)
    ratio = together_s / (serial_s / WORKERS)
    name = f"sweep of {RUNS} runs on {WORKERS} workers ({together_s:.0f} s) / half of serial"
    return [at_most(f"{name} ({serial_s:.0f} s)", ratio, 1.1, "x")]


def _together_s(scenario: Scenario, out: Path) -> float:
    begun_s = time.perf_counter()
    failed = run_sweep(
        SweepOrder(scenario, Path(), [], RUNS), out, Workers(WORKERS), lambda now: None
    )
    assert not failed, failed
    return time.perf_counter() - begun_s


def _serial_s(scenario: Scenario, directory: Path) -> float:
    begun_s = time.perf_counter()
    for seed in range(1, RUNS + 1):
        run_one(scenario, seed, directory / f"serial-{seed}")
    return time.perf_counter() - begun_s
