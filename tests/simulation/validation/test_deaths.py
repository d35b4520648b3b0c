"""Lookups right after many nodes died, in the small."""

from __future__ import annotations

from pathlib import Path

from simulations.validation.deaths import Deaths, findings, measure, table_of

SCENARIO = Path(__file__).parents[3] / "simulations" / "scenarios" / "deaths.toml"
NODES = 120


def test_right_after_a_fifth_died_at_once_lookups_find_the_closest_and_nobody_dead() -> None:
    alive = measure(SCENARIO, Deaths(0), 1, None, NODES)
    dead = measure(SCENARIO, Deaths(20), 1, None, NODES)
    for found in (alive, dead):
        assert not found.violations
        assert found.values["dead_found"] == 0
        assert found.values["recall"] >= 0.99
    assert alive.values["took_mean"] <= 0.48
    assert alive.values["requests_per_lookup"] < 23, "20 have to answer"
    assert alive.values["took_mean"] < dead.values["took_mean"] <= 0.9


def test_where_datagrams_get_lost_late_peers_are_waited_for() -> None:
    found = measure(SCENARIO, Deaths(0, loss=3), 2, None, NODES)
    assert found.values["recall"] >= 0.99
    assert found.values["took_mean"] <= 0.7


def test_the_worst_seed_is_judged() -> None:
    row = Deaths(20, most={"took_mean": 0.5})
    fine = measure(SCENARIO, row, 1, None, 30)
    assert "20 % dead" in table_of([fine])
    named = {each.name: each for each in findings([fine])}
    judged = named["20 % dead, 0 % lost, 20-150 ms: took_mean, s"]
    assert judged.measured == fine.values["took_mean"]
    assert judged.high == 0.5
