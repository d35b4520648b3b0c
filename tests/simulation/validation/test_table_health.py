"""Surveys of routing tables: they see what is there, and networks that live stay healthy."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dhtstore.node.ports import NodeSettings
from dhtstore.params import MIB, K
from simulations.__main__ import main
from simulations.nodes.population import Population
from simulations.nodes.warm_start import start_all
from simulations.validation import theory
from simulations.validation.table_health import (
    Survey,
    TableHealth,
    closest_to,
    dead_share,
    edge_bucket,
    findings,
    live,
    scenario_of,
    survey,
)
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import CoordinateLatency
from simulations.world.network.network import SimNetwork

STORAGE = NodeSettings(capacity_bytes=64 * MIB, owner_quota_bytes=64 * MIB)


def test_the_closest_are_those_of_a_full_search() -> None:
    rng = random.Random(1)
    for count in (1, 5, K, 400):
        ids = sorted({rng.getrandbits(160) for _ in range(count)})
        for own in ids[:10]:
            expected = sorted((one for one in ids if one != own), key=own.__xor__)[:K]
            assert closest_to(own, ids, K) == expected


def test_a_survey_tells_the_dead_from_the_living() -> None:
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), CoordinateLatency(1))
    population = Population(loop, network, 1, [STORAGE] * 100)
    found: list[Survey] = []

    async def main() -> None:
        await start_all(population, range(100))
        found.append(survey(population, population.members))
        for number in range(30):
            population.crash(number)
        found.append(survey(population, population.up()))
        await population.stop()

    run(main(), loop)
    fresh, struck = found
    assert (fresh.nodes, struck.nodes, len(struck.tables)) == (100, 70, 70)
    assert sum(table.known for table in fresh.tables) > 0.95 * K * 100  # a full bucket may lack one
    assert dead_share(fresh.tables, 0, 160) == 0
    assert dead_share(struck.tables, 0, 160) == pytest.approx(0.3, abs=0.03)
    assert all(table.entries != table.live for table in struck.tables)


def test_the_far_buckets_are_those_of_rfm19() -> None:
    assert edge_bucket(15_371) == 9
    assert edge_bucket(480) == 4


def test_machines_are_enough_for_so_many_to_be_up() -> None:
    assert scenario_of(15_371, 3600).run.nodes == 27_947
    assert scenario_of(15_371, 5400).run.duration_s == 5400


def test_tables_kept_under_churn_are_as_probelab_found_them() -> None:
    found = {finding.name: finding for finding in findings(live(240, 3600, seed=2))}
    assert found["contacts in buckets 0-2"].measured > 19.88, "18.6 if nobody fills them"
    assert found["live contacts in bucket 3"].holds
    assert found["know all of their k closest"].measured > 0.8
    assert found["know fewer than 18 of them"].measured < 0.0479
    assert found["prefix shared with the closest"].holds
    assert found["prefix shared with the k-th closest"].holds
    assert found["violations found by checkers"].holds
    assert 0 < found["dead entries of buckets 0-2"].measured < 0.09, "0.1 if nobody pings them"


def test_a_neglected_network_is_seen() -> None:
    table = TableHealth(entries=[K, 12], live=[K, 6], known=4, closest_bits=3, kth_bits=1)
    whole = replace(table, entries=[K, K], live=[K, K], known=K)
    nodes = 130
    assert edge_bucket(nodes) == 2
    found = {f.name: f for f in findings(Survey(nodes, [table, table, table, whole], ["lost"]))}
    assert found["buckets 0-1 full"].measured == pytest.approx(5 / 8)
    assert found["know all of their k closest"].measured == 0.25
    assert found["know fewer than 5 of them"].measured == 0.75
    judged = ("buckets 0-1 full", "know all of their k closest", "violations found by checkers")
    assert not any(found[name].holds for name in judged)


def test_the_command_prints_a_survey(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--live", "5 min", "--nodes", "60"]) in (0, 1)
    shown = capsys.readouterr().out
    assert "of them surveyed" in shown
    assert "know all of their k closest" in shown
    assert main(["validate", "--live", "5"]) == 2


def test_theory_of_a_network_smaller_than_a_bucket() -> None:
    assert theory.kth_prefix_bits(10, K) == pytest.approx(0, abs=1e-9)
