"""Whole attacks: who takes part, what checkers make of it, and what users are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dhtstore.model.identity import distance, node_id
from simulations.errors import ScenarioError
from simulations.lab.one_run.experiment import Experiment
from simulations.results.summary import nobody_attacked
from simulations.scenario import from_tables
from simulations.sections.adversary import BEHAVIOURS

WORLD: dict[str, Any] = {
    "run": {"nodes": 40, "duration_s": "4 min", "seed": 3},
    "adversary": {"share": "20 %", "at_s": "1 min", "records_per_h": 240.0, "identities": 3},
    "workload": {
        "kind": "mix",
        "operations_per_s": 0.5,
        "put_share": "30 %",
        "lookup_share": "30 %",
        "objects": 20,
        "size_median_bytes": "4 KiB",
        "size_sigma": 0.0,
    },
}


def done(*overrides: str) -> tuple[Experiment, dict[str, Any]]:
    scenario = from_tables(WORLD, overrides)
    experiment = Experiment(scenario, scenario.run.seed, None, folder=Path())
    return experiment, experiment.run()


@pytest.fixture(scope="module")
def mixed() -> tuple[Experiment, dict[str, Any]]:
    return done()


def test_each_behaviour_is_there_once_and_acts(mixed: tuple[Experiment, dict[str, Any]]) -> None:
    attack = mixed[1]["attack"]
    assert attack["adversaries"] == dict.fromkeys(BEHAVIOURS, 1)
    assert set(attack["acts"]) == set(BEHAVIOURS)
    assert attack["signatures_refused"] > 0


def test_checkers_hold_the_honest_only_and_find_nothing(
    mixed: tuple[Experiment, dict[str, Any]],
) -> None:
    experiment, summary = mixed
    assert summary["violations"] == []
    hostile = {mask.me.number for mask in experiment.world.attack.masks}
    view = experiment.world.view
    assert len(hostile) == 8
    assert not any(view.honest(number) for number in hostile)
    promised = {n for put in view.journal.acknowledged.values() for n in put.holders}
    assert promised & hostile, "adversaries sign for copies, and nobody holds them to it"


def test_users_are_honest_and_are_served(mixed: tuple[Experiment, dict[str, Any]]) -> None:
    experiment, summary = mixed
    hostile = {mask.me.number for mask in experiment.world.attack.masks}
    assert not {row.client for row in experiment.recorder.rows} & hostile
    operations, measures = summary["operations"], summary["attack"]["measures"]
    assert operations["get"]["ok_share"] > 0.95
    assert operations["put"]["ok_share"] > 0.9
    assert operations["lookup"]["ok_share"] > 0.95
    assert 0.05 < measures["closest_adversary_share"] < 0.5
    assert measures["eclipsed_share"] == 0
    assert 1.5 < measures["honest_copies_mean"] < 3


def test_one_seed_is_one_attack(mixed: tuple[Experiment, dict[str, Any]]) -> None:
    again = done()[1]
    assert again["trace_sha256"] == mixed[1]["trace_sha256"]
    assert again["attack"] == mixed[1]["attack"]


def test_no_adversaries_are_no_change() -> None:
    quiet = [done("run.nodes=10", "run.duration_s=20 s", "adversary.share=0", more)[1] for more in
             ("adversary.at_s=0", "adversary.behaviours=lie")]  # fmt: skip
    assert quiet[0]["trace_sha256"] == quiet[1]["trace_sha256"]
    assert "attack" not in quiet[0]


def test_ids_are_ground_to_the_key_of_an_object_and_do_not_hide_it() -> None:
    experiment, summary = done(
        "adversary.share=0",
        "adversary.ground=24",
        "adversary.target=object 0",
        "adversary.behaviours=eclipse",
        "workload.objects=2",
        "workload.lookup_share=0",
    )
    world = experiment.world
    key, members = world.key_of(0), world.population.members
    assert key is not None
    ids = {m.number: distance(key, node_id(m.crypto.node.public_key)) for m in members}
    nearest = sorted(ids, key=ids.__getitem__)[:20]
    assert all(members[number].disguise is not None for number in nearest)
    assert len(members) == 64
    assert summary["violations"] == []
    assert summary["attack"]["measures"]["target_get_share"] == 1


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("adversary.behaviours=drop,lei", "must be some of drop, lie"),
        ("adversary.behaviours=[]", "must be some of drop, lie"),
        ("adversary.target=object", "neither 'random' nor an object"),
        ("adversary.lasting_s=0", "must be at least 1"),
        ("adversary.ground=1001", "adversary.ground: 1001 must be from 0 to 1000"),
    ],
)
def test_what_is_refused_names_its_key(override: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        from_tables({}, [override])


def test_behaviours_are_a_list_or_words_with_commas() -> None:
    chosen = from_tables({}, ["adversary.behaviours=drop, lie"]).adversary.behaviours
    assert (
        chosen == from_tables({"adversary": {"behaviours": ["drop", "lie"]}}).adversary.behaviours
    )


def test_a_scenario_that_ends_before_its_attack_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"adversary\.at_s: 60 s: the scenario ends"):
        from_tables(WORLD, ["run.duration_s=1 min"])
    from_tables(WORLD, ["run.duration_s=1 min", "adversary.share=0"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("adversary.share=1 %", "less than half a node"),
        ("adversary.target=object 9999", "never put"),
        ("adversary.share=50 %", ""),
    ],
)
def test_a_run_in_which_nobody_attacked_says_so(override: str, told: str) -> None:
    ways = ["run.nodes=6", "run.duration_s=2 min", "workload.kind=none", override]
    summary = done(*ways)[1]
    assert told in nobody_attacked(summary)
    assert bool(nobody_attacked(summary)) == bool(told)
