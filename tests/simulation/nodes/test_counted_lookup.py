"""Instruments see what nodes do and change nothing."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.source import import_source
from dhtstore.node.ports import NodeSettings
from dhtstore.params import MIB, K
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.datagram_kinds import KINDS
from simulations.events.users import put_bytes
from simulations.nodes.counted_lookup import LookupResult, look_up
from simulations.nodes.datagram_kind import kind_of
from simulations.nodes.population import Population
from simulations.nodes.stored_content import blocks_below
from simulations.nodes.warm_start import start_all
from simulations.validation import theory
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import CoordinateLatency
from simulations.world.network.network import SimNetwork
from simulations.world.ports.blocking import InlineBlocking

STORAGE = NodeSettings(capacity_bytes=64 * MIB, owner_quota_bytes=64 * MIB)


def looked_up(
    nodes: int, lookups: int, alpha: int, beta: int
) -> tuple[list[LookupResult], SimNetwork]:
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), CoordinateLatency(1))
    network.kind_of = kind_of
    population = Population(loop, network, 1, [STORAGE] * nodes)
    found: list[LookupResult] = []

    async def main() -> None:
        await start_all(population, range(nodes))
        rng = random.Random(2)
        for _ in range(lookups):
            member, target = rng.choice(population.members), rng.randbytes(20)
            assert member.node is not None
            work = look_up(member.node, target, timeout_s=15.0, alpha=alpha, beta=beta)
            found.append(await population.run(member.number, work))

    run(main(), loop)
    return found, network


def test_hops_with_alpha_and_beta_1_follow_the_recursion() -> None:
    found, _ = looked_up(500, 600, alpha=1, beta=1)
    mean = sum(looked.hops for looked in found) / len(found)
    assert mean == pytest.approx(theory.expected_hops(500, K), rel=0.03)


def test_lookups_count_what_the_network_sees() -> None:
    found, network = looked_up(300, 50, alpha=3, beta=K)
    assert all(len(looked.closest) == K and looked.timeouts == 0 for looked in found)
    assert network.sent_by_kind["find_node"] >= sum(looked.queries for looked in found)
    answers = network.sent_by_kind["answer"]  # to the last ones, and to retransmissions, a few not
    assert answers == pytest.approx(sum(network.sent_by_kind.get(k, 0) for k in KINDS), rel=0.01)
    assert set(network.sent_by_kind) <= {*KINDS, "answer", "challenge"}


def test_the_first_chain_to_name_a_node_may_be_longer_than_the_shortest() -> None:
    found, _ = looked_up(500, 150, alpha=3, beta=K)
    assert all(1 <= looked.shortest <= looked.hops for looked in found)
    assert any(looked.shortest < looked.hops for looked in found)


def test_every_kind_of_request_is_told() -> None:
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), CoordinateLatency(1))
    network.kind_of = kind_of
    population = Population(loop, network, 1, [STORAGE] * 8)

    async def main() -> None:
        for member in population.members:
            await population.start(member.number)
            await population.join(member.number)
        node = population.members[5].node
        assert node is not None
        await population.run(5, put_bytes(node, b"x" * 5000))
        await population.stop()

    run(main(), loop)
    assert {"ping", "find_node", "add_provider", "answer"} <= set(network.sent_by_kind)


def test_a_store_holds_all_or_not() -> None:
    store = MemoryBlockStore()

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(3 * MIB)

    async def main() -> Cid:
        disk = Disk(store, InlineBlocking())
        return (await import_source(disk, chunks(), UNIXFS_V1_2025, lambda done: None)).cid

    root = run(main(), VirtualLoop())
    assert set(blocks_below(store, root).values()) == set(store.cids())
    leaf = next(cid for cid in store.cids() if cid != root)
    store.delete([leaf])
    assert not blocks_below(store, root)
