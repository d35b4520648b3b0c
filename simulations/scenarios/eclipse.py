"""A key whose closest nodes are ground to it and say that nothing is there: who still finds its
provider, and how many nodes was the publisher told of?"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.dht.engine.harvest import FoundProviders
from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import DhtKey
from dhtstore.params import LOOKUP_TIMEOUT_S, PROVIDERS_PER_KEY_MAX
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import choice, duration, integer


@dataclass(frozen=True, slots=True)
class Parameters:
    """``provide``: before the attack begins or after; ``finds``, each by another honest node, so
    fewer where there are not as many."""

    provide: str = choice("after", "before")
    finds: int = integer(40, 1, 10_000)
    every_s: float = duration("2 s", 0.01)


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """Provide the key, find it, and tell how."""
    rng = random.Random(seed)
    if parameters.provide == "after":
        await world.attack.begun.wait()
    assert world.attack.key is not None, "a random one is drawn at once"
    key = DhtKey(world.attack.key)
    publisher, *finders = _honest(world, rng, 1 + parameters.finds)
    await _provide(world, publisher, key)
    await world.attack.begun.wait()
    for finder in finders:
        await asyncio.sleep(parameters.every_s)
        await _find(world, finder, publisher, key)


def _honest(world: World, rng: random.Random, count: int) -> Sequence[Member]:
    ready = [one for one in world.population.up() if one.ready and one.disguise is None]
    return rng.sample(ready, min(count, len(ready)))


async def _provide(world: World, member: Member, key: DhtKey) -> None:
    identity, begun_s = member.running.identity, world.loop.time()
    records = [(identity.provider_record(key), identity.record())]
    work = member.running.dht.provide(key, records, timeout_s=LOOKUP_TIMEOUT_S)
    (published,) = await world.population.run(member.number, work)
    world.sample("provide_s", "", world.loop.time() - begun_s)
    world.sample("told_copies", "", published.holders)
    holding = [one for one in world.population.up() if one.disguise is None and _holds(one, key)]
    world.sample("honest_copies", "", len(holding))


def _holds(member: Member, key: DhtKey) -> bool:
    return any(held.key == key for held in member.running.dht.records())


async def _find(world: World, finder: Member, publisher: Member, key: DhtKey) -> None:
    begun_s, found = world.loop.time(), FoundProviders([], 0, 0)
    work = finder.running.dht.find_providers(
        key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=LOOKUP_TIMEOUT_S
    )
    with contextlib.suppress(DhtstoreError):  # nobody answered: it is not found
        found = await world.population.run(finder.number, work)
    signer = publisher.crypto.node.public_key
    named = any(one.record.public_key == signer for one in found.providers)
    world.sample("find_s", "", world.loop.time() - begun_s)
    world.sample("found", "", named)
    world.sample("find_asked", "", found.asked)


def _mean(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return sum(values) / len(values) if values else None


MEASURES = (
    Measure("found_share", partial(_mean, "found"), better="more"),
    Measure("copies_told", partial(_mean, "told_copies")),
    Measure("copies_on_honest_nodes", partial(_mean, "honest_copies"), better="more"),
    Measure("finding_s", partial(_mean, "find_s"), "s", "less"),
    Measure("asked_by_a_find", partial(_mean, "find_asked"), better="less"),
)
