"""Groups in a world: each has its own sessions, links and places, and domains fail together."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from simulations.errors import ScenarioError
from simulations.events.churn import IPFS, KAD, from_settings
from simulations.events.fault_schedule import EVERYBODY, Fault, FaultKind
from simulations.events.lives import Lives
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.futures import check_branch
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.run_data import load
from simulations.results.run_folder import RunFolder
from simulations.scenario import from_tables

SMALL: dict[str, Any] = {
    "run": {"nodes": 12, "duration_s": "3 min"},
    "churn": {"preset": "custom", "session_median_s": "3 min", "arrivals": "poisson"},
    "network": {"undiallable": "20 %"},
    "workload": {"kind": "mix", "operations_per_s": 0.3, "objects": 10},
}
HALVES = [{"name": "one", "count": "50 %"}, {"name": "other", "count": "50 %"}]


def experiment_of(tables: dict[str, Any], *overrides: str, **others: Any) -> Experiment:
    scenario = from_tables(tables, overrides)
    return Experiment(scenario, scenario.run.seed, None, folder=Path(), **others)


def test_a_group_that_says_nothing_changes_nothing() -> None:
    plain = experiment_of(SMALL).run()["trace_sha256"]
    whole = {**SMALL, "group": [{"name": "all", "count": "100 %"}]}
    assert experiment_of(whole).run()["trace_sha256"] == plain


def test_results_are_told_by_the_group_of_the_client(tmp_path: Path) -> None:
    scenario = from_tables({**SMALL, "group": HALVES})
    with RunFolder(tmp_path / "run", scenario, 1) as folder:
        summary = Experiment(scenario, 1, folder, folder=Path()).run()
    run = load(tmp_path / "run")
    assert {row.group for row in run.operations} == {"one", "other"}
    for kind, whole in summary["operations"].items():
        parts = [part.get(kind, {}) for part in summary["operations_by_group"].values()]
        assert sum(part.get("count", 0) for part in parts) == whole["count"]
    up, of_groups = (run.metric(name) for name in ("nodes_up", "nodes_up_of_group"))
    assert [sum(pair) for pair in zip(*([one.value for one in of_groups[at::2]] for at in (0, 1)),
                                      strict=True)] == [one.value for one in up]  # fmt: skip


def test_operations_stay_in_the_group_of_their_client() -> None:
    """Laptops of which most are down: what they ask for is not asked by servers instead."""
    tables = {
        **SMALL,
        "churn": {},
        "group": [
            {
                "name": "laptops",
                "count": "75 %",
                "preset": "custom",
                "session_median_s": "1 h",
                "absence_median_s": "2 h",
            },
            {"name": "servers", "count": "25 %"},
        ],
    }
    rows = experiment_of(tables, "run.nodes=16", "workload.operations_per_s=0.6")
    rows.run()
    asked = [row.group for row in rows.recorder.rows]
    assert asked.count("laptops") / len(asked) == pytest.approx(0.75, abs=0.1)


def test_sessions_of_each_group_follow_its_own_churn() -> None:
    groups = [
        {"name": "servers", "count": 40},
        {"name": "homes", "count": 3000, "preset": "ipfs"},
        {"name": "kad", "count": 3000, "preset": "kad", "always_on": "20 %"},
    ]
    scenario = from_tables({"run": {"duration_s": "72 h"}, "group": groups})
    lives = Lives(scenario, 1, 1, Path())
    up = lives.up_at_start()
    assert up[:40] == list(range(40))
    homes, kad = scenario.groups[1:]
    for group, model in ((homes, IPFS), (kad, from_settings(kad.churn, Path()))):
        assert model is not None
        share = sum(number in group.numbers for number in up) / group.count
        assert share == pytest.approx(model.availability, abs=0.05)
    began_s: dict[int, float] = {}
    sessions: dict[str, list[float]] = {"homes": [], "kad": []}
    before_s = 0.0
    for change in lives.changes():
        assert change.at_s >= before_s
        assert change.node >= 40
        before_s = change.at_s
        if change.up:
            began_s[change.node] = change.at_s
        elif change.node in began_s and began_s[change.node] < 24 * 3600:
            name = "homes" if change.node in homes.numbers else "kad"
            sessions[name].append(change.at_s - began_s[change.node])
    for name, model in (("homes", IPFS), ("kad", KAD)):
        assert statistics.median(sessions[name]) == pytest.approx(model.session.median_s, rel=0.1)


def test_machines_arrive_in_all_groups_by_count_unless_a_group_has_its_own() -> None:
    groups: list[dict[str, Any]] = [
        {"name": "few", "count": 10},
        {"name": "many", "count": 30},
        {"name": "own", "count": 10, "arrivals": "kad", "arrivals_per_h": 20.0},
    ]
    churn = {"arrivals": "poisson", "arrivals_per_h": 40.0}
    scenario = from_tables({"run": {"duration_s": "200 h"}, "churn": churn, "group": groups})
    newcomers = Lives(scenario, 1, 1, Path()).newcomers()
    assert [one.at_s for one in newcomers] == sorted(one.at_s for one in newcomers)
    counts = [sum(one.group == name for one in newcomers) for name in ("few", "many", "own")]
    assert counts == [pytest.approx(rate * 200, rel=0.06) for rate in (10, 30, 20)]


def test_links_room_and_places_are_those_of_the_group() -> None:
    groups = [
        {"name": "near", "count": 30, "region": "europe", "up_bytes_per_s": "1 MiB/s"},
        {
            "name": "far",
            "count": 30,
            "region": "moon",
            "region_x_ms": 1000.0,
            "region_y_ms": 0.0,
            "storage_share": "0 %",
            "undiallable": "100 %",
        },
        {"name": "anywhere", "count": 30},
    ]
    world = experiment_of({"group": groups}).world
    near, far, anywhere = (world.population.members[at : at + 30] for at in (0, 30, 60))
    assert {one.region for one in near} == {"europe"}
    assert len({one.region for one in anywhere}) > 2
    assert {one.settings.storage for one in far} == {False}
    assert {_machine(world, one).up_bytes_per_s for one in near} == {1 << 20}
    assert not any(_machine(world, one).diallable for one in far)
    within = _way_s(world, near, near)
    assert within < 0.6 * _way_s(world, anywhere, anywhere)
    assert _way_s(world, near, far) == pytest.approx(1.0, abs=0.15)


def _machine(world: World, member: Member) -> Any:
    return world.network.machine(member.address)


def _way_s(world: World, some: list[Member], others: list[Member]) -> float:
    ways = [
        world.network.latency.one_way_s(_machine(world, a).place, _machine(world, b).place)
        for a in some
        for b in others
        if a is not b
    ]
    return statistics.median(ways)


def test_a_failure_domain_fails_and_comes_back_together() -> None:
    """Also those come back that were to start meanwhile, and those do not that were to go."""
    groups = [{"name": "servers", "count": 12, "domain": "rack", "domains": 3}]
    faults = [Fault(30.0, FaultKind.OUTAGE, EVERYBODY, 60.0, 1)]
    experiment = experiment_of(
        {"run": {"duration_s": "4 min"}, "group": groups}, faults=faults, companion=watch
    )
    summary = experiment.run()
    assert summary["violations"] == []
    assert {"before": 12, "dark": {"rack-1", "rack-3"}, "after": set(range(12)) - {4}} == SEEN


SEEN: dict[str, Any] = {}


async def watch(world: World) -> None:
    population = world.population
    await world.until(29)
    SEEN["before"] = len(population.up())
    population.crash(7)
    await world.until(31)
    SEEN["dark"] = {member.domain for member in population.up()}
    assert not population.can_start(7)
    population.power.wait(7)
    population.crash(4)
    await world.until(150)
    SEEN["after"] = {member.number for member in population.up() if member.ready}


def test_outages_strike_domains_at_random() -> None:
    tables = {
        "run": {"duration_s": "6 min"},
        "faults": {"domain_outages_per_h": 60.0, "restart_after_s": "20 s"},
        "churn": {"preset": "custom", "session_median_s": "2 min", "keep_data": "50 %"},
        "workload": {"kind": "mix", "operations_per_s": 0.2, "objects": 10},
        "group": [
            {"name": "racks", "count": 6, "domain": "rack", "domains": 2, "preset": "none"},
            {"name": "homes", "count": 6},
        ],
    }
    experiment = experiment_of(tables)
    summary = experiment.run()
    assert summary["violations"] == []
    assert {fault.kind for fault in experiment.faults} == {FaultKind.OUTAGE}
    assert summary["lives"] > 12 + len(experiment.faults)


def test_a_branch_may_vary_of_a_group_what_has_no_effect_on_the_beginning() -> None:
    whole = from_tables({**SMALL, "group": HALVES})
    check_branch(whole, from_tables(whole.raw, ["group.one.leave=10 %"]))
    for override in ("group.one.capacity_bytes=1 MiB", "group.one.domain=rack"):
        key = override.partition("=")[0]
        with pytest.raises(ScenarioError, match=f"{key} shapes the beginning"):
            check_branch(whole, from_tables(whole.raw, [override]))
