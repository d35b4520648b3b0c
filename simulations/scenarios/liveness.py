"""Provider records that are published once, and watched: ProbeLab RFM17 (2022), which published
10,000 records in IPFS and asked those that took each of them every half hour, for 36 hours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import DhtKey, node_id
from dhtstore.params import LOOKUP_TIMEOUT_S, NODE_ID_BYTES, K
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import duration, integer

QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9}


@dataclass(frozen=True, slots=True)
class Parameters:
    """``keys`` are published within ``publish_s``, then looked at ``every_s``."""

    keys: int = integer(200, 1, 100_000)
    publish_s: float = duration("30 min")
    every_s: float = duration("30 min", 1.0)


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """``holders`` took its record, the publisher itself left out."""

    key: bytes
    publisher: int
    holders: frozenset[int]


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    """Publish, then look until the run ends."""
    published = await _publish_all(world, parameters, random.Random(seed))
    while True:
        _look(world, published)
        await asyncio.sleep(parameters.every_s)


async def _publish_all(
    world: World, parameters: Parameters, rng: random.Random
) -> list[PublishedKey]:
    found = []
    for number in range(parameters.keys):
        await world.until(parameters.publish_s * number / parameters.keys)
        member, key = rng.choice(_ready(world)), rng.randbytes(NODE_ID_BYTES)
        begun_s = world.loop.time()
        try:
            await _provide(world, member, DhtKey(key))
        except DhtstoreError:
            continue  # the publisher went meanwhile
        world.sample("provide_s", "", world.loop.time() - begun_s)
        holders = frozenset(_telling(world, {key})[key]) - {member.number}
        world.sample("holders_at_publish", "", len(holders))
        found.append(PublishedKey(key, member.number, holders))
    return found


async def _provide(world: World, member: Member, key: DhtKey) -> list[Published]:
    identity = member.running.identity
    records = [(identity.provider_record(key), identity.record())]
    work = member.running.dht.provide(key, records, timeout_s=LOOKUP_TIMEOUT_S)
    return await world.population.run(member.number, work)


def _look(world: World, published: Sequence[PublishedKey]) -> None:
    """One row a quantile: of the holders of each key, how many are up, how many still tell its
    record, and how many are still among the K closest of what is up."""
    ready = _ready(world)
    up = {member.number for member in ready}
    telling = _telling(world, {one.key for one in published})
    ids = [(int.from_bytes(node_id(m.crypto.node.public_key), "big"), m.number) for m in ready]
    counts = {
        "holders_up": [len(one.holders & up) for one in published],
        "holders_telling": [len(one.holders & telling[one.key]) for one in published],
        "holders_closest": [len(one.holders & _closest(ids, one.key)) for one in published],
    }
    for metric, values in counts.items():
        for name, value in quantiles(values):
            world.sample(f"{metric}_{name}", "", value)
        world.sample(f"{metric}_mean", "", sum(values) / len(values))


def _ready(world: World) -> list[Member]:
    return [member for member in world.population.up() if member.ready]


def _telling(world: World, keys: Iterable[bytes]) -> dict[bytes, set[int]]:
    """Who has the record of each key, and would tell it."""
    found: dict[bytes, set[int]] = {key: set() for key in keys}
    for member in world.population.up():
        for held in member.running.dht.records():
            if held.key in found:
                found[held.key].add(member.number)
    return found


def _closest(ids: Sequence[tuple[int, int]], key: bytes) -> set[int]:
    target = int.from_bytes(key, "big")
    return {number for _, number in sorted(ids, key=lambda one: one[0] ^ target)[:K]}


def quantiles(values: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Of the nearest rank."""
    ordered = sorted(values)
    for name, share in QUANTILES.items():
        yield name, ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _of_all(metric: str, name: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return dict(quantiles(values))[name] if values else None


def _over_time(metric: str, run: RunData) -> float | None:
    """The mean of a quantile from the first hour on, 36 h long."""
    values = [sample.value for sample in run.metric(metric)][2:]
    return sum(values) / len(values) if values else None


MEASURES = (
    *(
        Measure(f"at_publish_{name}", partial(_of_all, "holders_at_publish", name))
        for name in ("p5", "p50", "p90")
    ),
    *(
        Measure(f"publish_{name}", partial(_of_all, "provide_s", name), "s", "less")
        for name in ("p50", "p90")
    ),
    *(
        Measure(f"{what}_{name}", partial(_over_time, f"holders_{what}_{name}"))
        for what in ("up", "telling", "closest")
        for name in ("p25", "p50", "p75")
    ),
)
