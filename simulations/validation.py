"""Measured against theory and against measurements of live networks, in one table.

A settled network of production nodes (warm start), lookups of random keys from random nodes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dhtstore.model.identity import NodeId
from dhtstore.node.ports import NodeSettings
from dhtstore.params import GIB, K
from simulations import theory
from simulations.checkers import bucket_index
from simulations.instruments import look_up
from simulations.latency import CoordinateLatency
from simulations.network import SimNetwork
from simulations.population import Member, Population
from simulations.ports import derive
from simulations.virtual_loop import VirtualLoop, run
from simulations.warm import start_all

_LOOKUP_TIMEOUT_S = 60.0
_STORAGE = NodeSettings(capacity_bytes=GIB, owner_quota_bytes=GIB)


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure beside what it should be, within ``tolerance`` (a share of it)."""

    name: str
    measured: float
    expected: float
    tolerance: float
    source: str

    @property
    def holds(self) -> bool:
        return abs(self.measured - self.expected) <= self.tolerance * abs(self.expected)


def validate(nodes: int, lookups: int, seed: int) -> list[Finding]:
    """Build the network once and hold everything that can be measured in it."""
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(derive(seed, "network")), CoordinateLatency(seed))
    population = Population(loop, network, seed, [_STORAGE] * nodes)

    async def measure() -> list[Finding]:
        await start_all(population, range(nodes))
        tables = _tables(population.members)
        alone = await _hops(population, lookups, seed, alpha=1, beta=1)
        full = await _hops(population, lookups, seed, alpha=3, beta=K)
        return tables + _compared(nodes, alone, full)

    return run(measure(), loop)


async def _hops(population: Population, lookups: int, seed: int, alpha: int, beta: int) -> float:
    rng, hops = random.Random(derive(seed, f"targets/{alpha}")), 0
    for _ in range(lookups):
        member, target = rng.choice(population.members), rng.randbytes(20)
        assert member.node is not None, "all of them run"
        work = look_up(member.node, target, timeout_s=_LOOKUP_TIMEOUT_S, alpha=alpha, beta=beta)
        hops += (await population.run(member.number, work)).hops
    return hops / lookups


def _compared(nodes: int, alone: float, full: float) -> list[Finding]:
    recursion = theory.expected_hops(nodes, K)
    found = [Finding("hops, alpha = beta = 1", alone, recursion, 0.03, "recursion")]
    expected = theory.HOPS_ALPHA_3.get((nodes, K))
    if expected is not None:
        found.append(Finding("hops, alpha = 3", full, expected, 0.03, "vectorised model"))
    return found


def _tables(members: Sequence[Member]) -> list[Finding]:
    nodes = len(members)
    tables = [member.node.dht.protocol.router for member in members if member.node is not None]
    sizes = sum(len(table) for table in tables) / nodes
    prefix = (
        sum(
            max(bucket_index(NodeId(table.node.id), NodeId(peer.id)) for peer in table)
            for table in tables
        )
        / nodes
    )
    found = [
        Finding("contacts in a table", sizes, theory.table_size(nodes, K), 0.01, "binomial"),
        Finding(
            "prefix shared with the closest", prefix, theory.closest_prefix_bits(nodes), 0.01,
            "log2 N + 0.3327",
        ),
    ]  # fmt: skip
    for index in range(20):
        expected = theory.bucket_fill(nodes, K, index)
        if expected >= 5:
            held = sum(len(t.buckets[index] or ()) for t in tables if index < len(t.buckets))
            name = f"contacts in bucket {index}"
            tolerance = 0.01 if expected > K - 1 else 0.05  # ids fall unevenly for one seed
            found.append(Finding(name, held / nodes, expected, tolerance, "binomial"))
    return found


def table_of(findings: Sequence[Finding]) -> str:
    """For a terminal."""
    lines = [f"{'':32} {'measured':>10} {'expected':>10}   within"]
    lines += [
        f"{f.name:32} {f.measured:10.3f} {f.expected:10.3f}  {f.tolerance:6.0%}  "
        f"{'yes' if f.holds else 'NO '}  {f.source}"
        for f in findings
    ]
    return "\n".join(lines)
