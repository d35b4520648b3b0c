"""The closest node that is up, found without a lookup."""

from __future__ import annotations

import random
from pathlib import Path

from dhtstore.model.identity import NodeId, distance
from simulations.lab.one_run.experiment import Experiment
from simulations.nodes.true_closest import TrueClosest
from simulations.results.run_data import load
from simulations.results.run_folder import RunFolder
from simulations.scenario import from_tables


def test_it_agrees_with_asking_everybody() -> None:
    rng = random.Random(4)
    ids = [NodeId(rng.randbytes(20)) for _ in range(200)]
    here = {number for number in range(200) if rng.random() < 0.2}
    nearest = TrueClosest(((raw, number) for number, raw in enumerate(ids)), here.__contains__)
    for _ in range(300):
        target, asker = NodeId(rng.randbytes(20)), rng.randrange(200)
        others = [ids[number] for number in sorted(here) if number != asker]
        assert nearest.closest(target, asker) == min(others, key=lambda raw: distance(raw, target))


def test_the_closest_come_in_order_and_all_of_them_where_there_are_fewer() -> None:
    rng = random.Random(5)
    ids = [NodeId(rng.randbytes(20)) for _ in range(100)]
    nearest = TrueClosest(((raw, number) for number, raw in enumerate(ids)), lambda number: True)
    for count in (1, 20, 98, 99, 120):
        target, asker = NodeId(rng.randbytes(20)), rng.randrange(100)
        others = [raw for raw in ids if raw != ids[asker]]
        expected = sorted(others, key=lambda raw: distance(raw, target))[:count]
        assert nearest.nearest(target, asker, count) == expected


def test_nobody_is_the_closest_of_none() -> None:
    only = NodeId(bytes(20))
    assert TrueClosest([(only, 0)], lambda number: True).closest(bytes(20), besides=0) is None
    assert TrueClosest([(only, 0)], lambda number: False).closest(bytes(20), besides=1) is None
    assert TrueClosest([], lambda number: True).closest(bytes(20), besides=0) is None


def test_a_lookup_that_misses_the_closest_node_has_not_succeeded(tmp_path: Path) -> None:
    """Nothing but lost datagrams: lookups end, but not where they should."""
    tables = {
        "run": {"nodes": 100, "duration_s": "2 min"},
        "network": {"loss": "60 %"},
        "workload": {"kind": "lookups"},
    }
    scenario = from_tables(tables)
    with RunFolder(tmp_path, scenario, 1) as folder:
        Experiment(scenario, 1, folder, folder=Path()).run()
    lookups = load(tmp_path).operations
    missed = [row for row in lookups if not row.ok]
    assert {row.error for row in missed} == {"ClosestMissed"}
    assert 5 < len(missed) < len(lookups)
