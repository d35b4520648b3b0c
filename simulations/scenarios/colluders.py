"""Lookups of random keys by honest nodes, each on 1, 2, 4 and 8 paths that share no node: do they
find the closest honest node?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.region.paths import DisjointLookup
from dhtstore.dht.engine.crawl import Search
from dhtstore.model.identity import NodeId, node_id
from dhtstore.params import LOOKUP_TIMEOUT_S, NODE_ID_BYTES
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.nodes.true_closest import TrueClosest
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import duration, integer

PATHS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Parameters:
    """``lookups`` on each number of paths."""

    lookups: int = integer(150, 1, 100_000)
    every_s: float = duration("1 s", 0.01)


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """The same keys from the same nodes on each number of paths, in turn."""
    rng, members = random.Random(seed), world.population.members
    honest = [one for one in members if one.disguise is None]
    truth = TrueClosest(((_id(one), one.number) for one in honest), lambda number: True)
    await world.attack.begun.wait()
    for _ in range(parameters.lookups):
        asker, key = rng.choice(honest), rng.randbytes(NODE_ID_BYTES)
        for paths in PATHS:
            await asyncio.sleep(parameters.every_s)
            await _look_up(world, asker, key, paths, truth)


async def _look_up(world: World, asker: Member, key: bytes, paths: int, truth: TrueClosest) -> None:
    kind: Callable[..., Search] = partial(DisjointLookup, paths=paths) if paths > 1 else Lookup
    begun_s = world.loop.time()
    work = asker.running.dht.search(key, kind, timeout_s=LOOKUP_TIMEOUT_S)
    search = await world.population.run(asker.number, work)
    found = truth.closest(key, asker.number) in {peer.id for peer in search.result()}
    world.sample(f"found_on_{paths}", "", found)
    world.sample(f"asked_on_{paths}", "", search.asked)
    world.sample(f"seconds_on_{paths}", "", world.loop.time() - begun_s)


def _id(member: Member) -> NodeId:
    return node_id(member.crypto.node.public_key)


def _mean(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return sum(values) / len(values) if values else None


MEASURES = (
    *(Measure(f"success_{n}", partial(_mean, f"found_on_{n}"), better="more") for n in PATHS),
    *(Measure(f"requests_{n}", partial(_mean, f"asked_on_{n}"), better="less") for n in PATHS),
    *(Measure(f"lasting_{n}_s", partial(_mean, f"seconds_on_{n}"), "s", "less") for n in PATHS),
)
