"""The scenario ``eclipse``, smaller: the nodes closest to a key are ground to it and hide it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import simulations
from dhtstore.params import K
from simulations.lab.one_run.experiment import Experiment
from simulations.scenario import load

SCENARIO = Path(simulations.__file__).parent / "scenarios" / "eclipse.toml"


def done(*overrides: str) -> dict[str, Any]:
    small = ("run.nodes=120", "run.duration_s=90 s", "parameters.finds=6", *overrides)
    scenario = load(SCENARIO, small)
    summary = Experiment(scenario, scenario.run.seed, None, folder=SCENARIO.parent).run()
    assert summary["violations"] == []
    measures: dict[str, Any] = summary["measures"]
    return {name: each["values"][""] for name, each in measures.items()}


@pytest.mark.parametrize("provide", ["after", "before"])
def test_a_key_with_ground_ids_around_it_is_found(provide: str) -> None:
    told = done(f"parameters.provide={provide}")
    assert told["found_share"] == 1
    assert told["copies_on_honest_nodes"] >= K / 2
    liars_counted = told["copies_told"] - told["copies_on_honest_nodes"]
    assert liars_counted <= 3, "of a crowd no more than chance puts there"
