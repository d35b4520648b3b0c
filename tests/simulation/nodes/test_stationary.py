"""A warm world begins as one that has run for long: its tables hold as many dead and as many hidden
contacts, and its lookups take as long, as after hours of the same churn."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from simulations.errors import ScenarioError
from simulations.events.sessions import LogNormal, Measured, Weibull
from simulations.lab.one_run.experiment import Experiment
from simulations.lab.one_run.world import World
from simulations.nodes.entering import enter
from simulations.nodes.population import Population
from simulations.nodes.table_past import past_of
from simulations.nodes.warm_start import start_all
from simulations.results.summary import quantile
from simulations.scenario import from_tables
from tests.simulation.nodes.test_population import play

HOURS = int(os.environ.get("DHTSTORE_STATIONARY_HOURS", "2"))  # more is surer, and slower
_HOUR_S = 3600.0
_FAR = 2  # buckets that are full: half and a quarter of the space


class Tables:
    """Shares of all entries: dead in full buckets and in those beyond, hidden."""

    def __init__(self, population: Population) -> None:
        members = {one.crypto.node.public_key: one for one in population.members}
        entries, dead, hidden = [0, 0], [0, 0], 0
        for member in population.members:
            if not member.ready:
                continue
            for bucket in member.running.dht.table().buckets:
                for entry in bucket.entries:
                    other, beyond = members[entry.peer.contact.public_key], bucket.index >= _FAR
                    entries[beyond] += 1
                    dead[beyond] += other.node is None
                    hidden += not population.network.machine(other.address).diallable
        self.dead_far, self.dead_beyond = (a / b for a, b in zip(dead, entries, strict=True))
        self.hidden = hidden / sum(entries)


def survey(hours: int, **network: Any) -> tuple[list[Tables], list[list[float]]]:
    """Tables at the start and after each hour; how long lookups took in each, in order."""
    scenario = from_tables(
        {
            "run": {"nodes": 240, "duration_s": f"{hours * _HOUR_S + 1} s", "seed": 3},
            "network": network,
            "churn": {"preset": "ipfs", "always_on": 0.1},
            "workload": {"kind": "lookups", "operations_per_s": 0.2},
        }
    )
    found, begun_s = list[Tables](), list[float]()

    async def look(world: World) -> None:
        begun_s.append(world.loop.time())
        for hour in range(hours + 1):
            await world.until(hour * _HOUR_S)
            found.append(Tables(world.population))

    experiment = Experiment(scenario, 3, None, folder=Path(), companion=look)
    assert experiment.run()["violations"] == []
    took_s: list[list[float]] = [[] for _ in range(hours)]
    for row in experiment.recorder.rows:
        if row.ok:
            took_s[min(hours - 1, int((row.start_s - begun_s[0]) / _HOUR_S))].append(
                row.stop_s - row.start_s
            )
    return found, [sorted(each) for each in took_s]


def test_a_warm_world_is_as_one_that_has_run_for_long() -> None:
    tables, took_s = survey(HOURS)
    start, later = tables[0], tables[1:]
    assert 0.04 < start.dead_far < 0.12
    assert start.dead_far == pytest.approx(mean(one.dead_far for one in later), abs=0.03)
    assert start.dead_beyond == pytest.approx(mean(one.dead_beyond for one in later), abs=0.03)
    first_s, last_s = quantile(took_s[0], 0.5), quantile(took_s[-1], 0.5)
    assert first_s == pytest.approx(last_s, rel=0.1)


def test_whoever_is_behind_a_nat_is_known_only_where_it_asked() -> None:
    tables, _ = survey(1, undiallable=0.43)
    assert tables[0].hidden < 0.2, "43 % if everybody were known alike"
    assert tables[0].hidden == pytest.approx(tables[1].hidden, abs=0.06)


def test_a_burn_in_leaves_out_what_happens_in_it_and_changes_nothing_else() -> None:
    tables = {"run": {"nodes": 15, "duration_s": "5 min"}, "workload": {"kind": "lookups"}}
    digests, counts = [], []
    for burn_in in ("0 s", "2 min"):
        scenario = from_tables(tables, [f"run.burn_in={burn_in}"])
        experiment = Experiment(scenario, 1, None, folder=Path())
        experiment.recorder.keeps_samples = True
        digests.append(experiment.run()["trace_sha256"])
        counts.append(len(experiment.recorder.rows))
    assert digests[0] == digests[1]
    assert 0 < counts[1] < counts[0]
    assert min(row.start_s for row in experiment.recorder.rows) >= 60 + 120
    assert min(one.time_s for one in experiment.recorder.samples) >= 60 + 120
    with pytest.raises(ScenarioError, match="burn_in"):
        from_tables(tables, ["run.burn_in=5 min"])


def test_machines_come_and_go_while_a_world_settles() -> None:
    tables = {
        "run": {"nodes": 20, "duration_s": "1 min", "settle_s": "30 min"},
        "churn": {"preset": "custom", "session_median_s": "10 min"},
    }
    lives: list[int] = []

    async def look(world: World) -> None:
        lives.append(world.population.lives)

    experiment = Experiment(from_tables(tables), 1, None, folder=Path(), companion=look)
    experiment.begin()
    begun = experiment.world.population.lives
    experiment.run()
    assert lives[0] > begun


def test_without_churn_nobody_is_dead() -> None:
    async def story(population: Population) -> None:
        await start_all(population, range(60))
        tables = Tables(population)
        assert tables.dead_far == tables.dead_beyond == tables.hidden == 0
        assert all(not one.running.dht.table().newcomers for one in population.up())

    play(story, nodes=60)


def test_short_absences_are_none_for_tables() -> None:
    def states() -> Iterator[float]:
        yield from (1000.0, 60.0, 500.0, 9000.0, 8000.0)

    up = past_of(states(), up=True, hidden=False)
    assert (up.runs_s, up.known_s, up.gone_s) == (1000.0, 1560.0, 0.0)
    down = past_of(states(), up=False, hidden=False)
    assert (down.known_s, down.gone_s, down.remembered) == (1060.0 + 500.0 + 9000.0, 1000.0, True)


def test_a_join_that_failed_is_tried_again() -> None:
    async def story(population: Population) -> None:
        for number in (0, 1):
            await population.start(number)
        assert await population.join(0)
        away, other = (population.network.machine(population.members[n].address) for n in (1, 0))
        population.network.partition([[away.address], [other.address]])
        trying = asyncio.create_task(enter(population, 1))
        await asyncio.sleep(60)
        assert not population.members[1].ready
        population.network.heal()
        await asyncio.wait([trying], timeout=120)
        assert population.members[1].ready

    play(story, nodes=2)


@pytest.mark.parametrize("one", [Weibull(0.5, 100), LogNormal(100, 1.5), Measured([5, 50, 400])])
def test_what_is_left_and_what_has_passed_make_a_whole_duration(
    one: Weibull | LogNormal | Measured,
) -> None:
    """The share still going on after so long more is S(passed + more) / S(passed)."""
    rng, passed_s, more_s = random.Random(4), 40.0, 120.0
    longer = sum(one.remaining_s(passed_s, rng) > more_s for _ in range(4000)) / 4000
    expected = one.survival(passed_s + more_s) / one.survival(passed_s)
    assert longer == pytest.approx(expected, abs=0.03)
