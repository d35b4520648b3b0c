"""Records that nobody renews, in the small, and the share of machines that are up again."""

from __future__ import annotations

import math
import random
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from simulations.events.churn import ChurnModel
from simulations.events.sessions import Weibull
from simulations.lab.one_run.experiment import Experiment
from simulations.scenario import load
from simulations.validation.record_liveness import mean_share_up

SCENARIO = Path(__file__).parents[3] / "simulations" / "scenarios" / "liveness.toml"


def test_the_share_that_is_up_again_has_its_closed_form_without_memory() -> None:
    """Sessions and absences exponential with one mean m: (1 + exp(-2 t / m)) / 2."""
    mean_s = 4 * 3600.0
    model = ChurnModel(Weibull(1.0, mean_s), Weibull(1.0, mean_s))
    expected = fmean((1 + math.exp(-2 * hour * 3600 / mean_s)) / 2 for hour in range(1, 37))
    assert mean_share_up(model, random.Random(3)) == pytest.approx(expected, rel=0.01)


def test_machines_that_never_go_are_always_up() -> None:
    model = ChurnModel(Weibull(1.0, 1.0), Weibull(1.0, 1e9), always_on=1.0)
    assert mean_share_up(model, random.Random(3)) == pytest.approx(1.0)


def run(*overrides: str) -> dict[str, Any]:
    small = ("run.nodes=40", "run.duration_s=3 h", "parameters.keys=6", *overrides)
    scenario = load(SCENARIO, small)
    summary = Experiment(scenario, 1, None, folder=SCENARIO.parent).run()
    return {name: one["values"][""] for name, one in summary["measures"].items()}


def test_without_churn_all_that_took_a_record_keep_telling_it() -> None:
    told = run("churn.preset=none")
    assert told["at_publish_p5"] >= 19  # the publisher may be one of the closest itself
    for what in ("up", "telling", "closest"):
        assert told[f"{what}_p25"] == told["at_publish_p5"]


COMING_AND_GOING = (
    "churn.preset=custom",
    "churn.session_median_s=20 min",
    "churn.always_on=0",
)


def test_machines_that_are_back_tell_what_they_told_before() -> None:
    told = run(*COMING_AND_GOING)
    assert 0.9 * told["up_p50"] < told["telling_p50"] <= told["up_p50"] < told["at_publish_p50"]


def test_machines_that_lost_their_disks_tell_nothing() -> None:
    told = run(*COMING_AND_GOING, "churn.keep_data=0 %")
    assert told["telling_p50"] < told["up_p50"] < told["at_publish_p50"]
