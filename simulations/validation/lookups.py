"""Measured against theory and against measurements of live networks, in one table.

A settled network of production nodes (warm start), lookups of random keys from random nodes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from statistics import mean

from dhtstore.node.ports import NodeSettings
from dhtstore.params import GIB, NODE_ID_BYTES, K
from dhtstore.tasks import run_all
from simulations.nodes.counted_lookup import LookupResult, look_up
from simulations.nodes.population import Member, Population
from simulations.nodes.warm_start import start_all
from simulations.seeds import derived_seed
from simulations.validation import theory
from simulations.validation.findings import Finding
from simulations.validation.lookup_model import LookupModel
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import CoordinateLatency, FixedLatency
from simulations.world.network.network import SimNetwork

_TIMEOUT_S = 60.0
_LOOKUPS_AT_ONCE = 50
_EQUAL_LATENCY_S = 0.025  # round trips below any retransmission timeout
_MODEL_LOOKUPS = 3000
_STORAGE = NodeSettings(capacity_bytes=GIB, owner_quota_bytes=GIB)


def validate(
    nodes: int, lookups: int, seed: int, model_lookups: int = _MODEL_LOOKUPS
) -> list[Finding]:
    """Build the network once and hold everything that can be measured in it, beside as many lookups
    of the model."""
    loop = VirtualLoop()
    network = SimNetwork(
        loop, random.Random(derived_seed(seed, "network")), CoordinateLatency(seed)
    )
    population = Population(loop, network, seed, [_STORAGE] * nodes)

    async def measure() -> list[Finding]:
        await start_all(population, range(nodes))
        tables = _tables(population.members)
        alone = await _looked_up(population, lookups, seed, alpha=1, beta=1)
        full = await _looked_up(population, lookups, seed, alpha=3)
        network.latency = FixedLatency(_EQUAL_LATENCY_S)  # last: nodes expect such answers then
        equal = await _looked_up(population, lookups, seed, alpha=3)
        return tables + _compared(nodes, seed, model_lookups, alone, equal, full)

    return run(measure(), loop)


async def _looked_up(
    population: Population, lookups: int, seed: int, alpha: int, beta: int | None = None
) -> list[LookupResult]:
    """Random keys from random nodes, some lookups at a time; the same ones for every alpha."""
    rng = random.Random(derived_seed(seed, "targets"))

    async def one(member: Member, target: bytes) -> LookupResult:
        assert member.node is not None, "all of them run"
        work = look_up(member.node, target, timeout_s=_TIMEOUT_S, alpha=alpha, beta=beta)
        return await population.run(member.number, work)

    keys = [(rng.choice(population.members), rng.randbytes(NODE_ID_BYTES)) for _ in range(lookups)]
    return await run_all([partial(one, *key) for key in keys], limit=_LOOKUPS_AT_ONCE)


def _compared(
    nodes: int,
    seed: int,
    modelled: int,
    alone: list[LookupResult],
    equal: list[LookupResult],
    full: list[LookupResult],
) -> list[Finding]:
    """Hops beside what they should be.

    In the model all latencies are equal.  Where they are not, a longer chain of faster answers is
    often the first to name the closest node, while the shortest chain that names it is as there.
    """
    recursion, model = theory.expected_hops(nodes, K), LookupModel(nodes, seed).mean_hops(modelled)
    source = "model of lookups"
    first, shortest = model.first, model.shortest
    rows = [
        ("alpha = 3, equal latencies", _mean_hops(equal), first),
        ("alpha = 3, equal latencies, shortest chain", _shortest(equal), shortest),
        ("alpha = 3, shortest chain", _shortest(full), shortest),
    ]
    asked = mean(looked.queries for looked in equal)
    return [
        Finding.within("hops, alpha = beta = 1", _mean_hops(alone), recursion, 0.03, "recursion"),
        *(
            Finding.within(f"hops, {name}", measured, expected, 0.03, source)
            for name, measured, expected in rows
        ),
        Finding("hops, alpha = 3, first in time", _mean_hops(full), first, "which knows no time"),
        Finding.within("requests, equal latencies", asked, model.asked, 0.03, source),
    ]


def _mean_hops(found: Sequence[LookupResult]) -> float:
    return mean(looked.hops for looked in found)


def _shortest(found: Sequence[LookupResult]) -> float:
    return mean(looked.shortest for looked in found)


def _tables(members: Sequence[Member]) -> list[Finding]:
    nodes = len(members)
    sizes = [member.running.dht.table().sizes() for member in members]
    size = sum(map(sum, sizes)) / nodes
    prefix = sum(max(at for at, held in enumerate(one) if held) for one in sizes) / nodes
    found = [
        Finding.within("contacts in a table", size, theory.table_size(nodes, K), 0.01, "binomial"),
        Finding.within(
            "prefix shared with the closest", prefix, theory.closest_prefix_bits(nodes), 0.01,
            "log2 N + 0.3327",
        ),
    ]  # fmt: skip
    for index in range(20):
        expected = theory.bucket_fill(nodes, K, index)
        if expected >= 5:
            held = sum(one[index] for one in sizes if index < len(one))
            name = f"contacts in bucket {index}"
            tolerance = 0.01 if expected > K - 1 else 0.05  # ids fall unevenly for one seed
            found.append(Finding.within(name, held / nodes, expected, tolerance, "binomial"))
    return found
