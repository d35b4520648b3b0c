"""Runs of weeks: what a run costs follows what happens in it, not how much is stored."""

from __future__ import annotations

from typing import Any

import pytest

from dhtstore.store.blocks.lent import Bytes
from simulations.commands.common import SCENARIOS
from simulations.lab.one_run.experiment import Experiment
from simulations.scenario import Scenario, load
from simulations.world.ports.contents import Contents

SMALL = (
    "run.nodes=8",
    'run.duration_s="15 min"',
    "workload.operations_per_s=0.04",
    'workload.put_share="50 %"',
    'workload.size_median_bytes="1500 KiB"',
    'workload.size_max_bytes="1500 KiB"',
    "faults.bit_rot_per_h=2",
    'faults.lying="20 %"',
)


def week(*overrides: str) -> Scenario:
    return load(SCENARIOS / "week.toml", (*SMALL, *overrides))


def run(scenario: Scenario) -> tuple[str, dict[str, Any]]:
    experiment = Experiment(scenario, scenario.run.seed, None, folder=SCENARIOS)
    summary = experiment.run()
    return experiment.trace.hexdigest(), summary


def test_what_happens_does_not_depend_on_how_bytes_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared, summary = run(week())
    assert summary["violations"] == []
    assert [summary["operations"][kind]["count"] > 5 for kind in ("put", "get")] == [True, True]

    def keep(contents: Contents, multihash: bytes, data: Bytes) -> bytes:
        return bytes(data)

    monkeypatch.setattr(Contents, "keep", keep)
    kept, again = run(week())
    assert kept == shared
    assert again["checkers"] == summary["checkers"]
