"""Provider records that nobody renews, beside ProbeLab RFM17 and beside the churn model alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dhtstore.params import K
from simulations.events.churn import ChurnModel, from_settings
from simulations.events.sessions import residual_s
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.progress import ProgressDisplay
from simulations.scenario import load
from simulations.validation.findings import Finding

_RFM17 = "ProbeLab RFM17"
_MODEL = "the churn model alone"
_TRIALS = 20_000
_HOURS = range(1, 37)


def run(path: Path, seed: int, progress: ProgressDisplay | None) -> dict[str, Any]:
    """The scenario at ``path``; its summary."""
    scenario = load(path, [f"run.seed={seed}"])
    experiment = Experiment(scenario, seed, None, folder=path.parent, progress=progress)
    return experiment.run()


def findings(path: Path, summary: Mapping[str, Any]) -> list[Finding]:
    """Published figures first, then what must follow from the sessions."""

    def told(name: str) -> float:
        return float(summary["measures"][name]["values"][""])

    published = [
        Finding.at_least("holders that took a record, p5", told("at_publish_p5"), 14, _RFM17),
        Finding.at_least("the same, median", told("at_publish_p50"), 18, _RFM17),
        Finding("the same, p90", told("at_publish_p90"), 20, _RFM17),
        Finding("publishing takes, median, s", told("publish_p50"), 12.64, _RFM17),
        Finding("holders up in 36 h, lower quartile", told("up_p25"), 13, _RFM17),
        Finding("the same, upper quartile", told("up_p75"), 16, _RFM17),
        Finding("of them still among the closest, median", told("closest_p50"), 15, _RFM17),
        Finding("of them still telling the record, median", told("telling_p50"), 13, _RFM17),
    ]
    model = from_settings(load(path).churn, path.parent)
    if model is None:
        return published
    share = mean_share_up(model, random.Random(1))
    expected = share * told("holders_at_publish")
    up = Finding.within("holders up in 36 h, mean", told("holders_up_mean"), expected, 0.1, _MODEL)
    return [*published, up]


def mean_share_up(model: ChurnModel, rng: random.Random) -> float:
    """Of machines that are up at a time, those up at 1, 2 ... 36 hours after it, in the mean."""
    found = sum(_hours_up(model, rng) for _ in range(_TRIALS))
    alternating = found / _TRIALS / len(_HOURS)
    always = model.always_on / model.availability
    return always + (1 - always) * alternating


def _hours_up(model: ChurnModel, rng: random.Random) -> int:
    """Of these hours, those at whose full a machine is up that was up at 0."""
    up, until_s, found = True, residual_s(model.session, rng), 0
    for hour in _HOURS:
        while until_s <= hour * 3600:
            up = not up
            until_s += (model.session if up else model.absence).sample_s(rng)
        found += up
    return found


assert K == 20, "RFM17 stores each record at 20 nodes"
