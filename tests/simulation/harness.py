"""Nodes that can be given parts of their own, for tests of what nodes do together."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from dhtstore.content.dag.local import Leaves, local_units, walk_local
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.model.policy import Policy
from dhtstore.model.signing import check
from dhtstore.model.unit import Unit
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import Watch, unwatched
from dhtstore.params import GIB, PROVIDERS_PER_KEY_MAX
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.wire.ticket import Ticket
from simulations.nodes.population import Population
from simulations.seeds import derived_seed
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.network import SimNetwork
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.crypto import SimCrypto
from tests.bids import sign_policy

T = TypeVar("T")
MakeNode = Callable[[Ports, NodeSettings], Node]
STORAGE = NodeSettings(capacity_bytes=GIB, owner_quota_bytes=GIB)
CLIENT = NodeSettings()


class Lab:
    """``add`` starts a node on a machine of its own and lets it join; ``parts`` replace those of
    its Ports."""

    def __init__(self, loop: VirtualLoop, seed: int, network: SimNetwork | None = None) -> None:
        self.loop = loop
        self.network = network or SimNetwork(loop, random.Random(derived_seed(seed, "network")))
        self.nodes: list[Node] = []
        self._machines = Population(loop, self.network, seed, [])
        self.rng = random.Random(seed)

    async def add(
        self, settings: NodeSettings = STORAGE, *, seeds: list[str] | None = None, **parts: Any
    ) -> Node:
        node = self.build(settings, **parts)
        await node.start()
        known = [ticket_of(self.nodes[0])] if len(self.nodes) > 1 else []
        await node.join(known if seeds is None else seeds)
        return node

    def build(
        self, settings: NodeSettings = STORAGE, *, make: MakeNode = Node, **parts: Any
    ) -> Node:
        """A node that is not started yet; ``make`` builds one of another kind."""
        machine = self._machines.add(settings)
        machine.crypto = parts.get("crypto", machine.crypto)
        ports = replace(self._machines.ports(machine), **parts)
        self.nodes.append(make(ports, machine.settings))
        return self.nodes[-1]

    async def grow(self, count: int) -> None:
        for _ in range(count):
            await self.add()

    async def stop(self) -> None:
        """Stop every node, in order."""
        for node in self.nodes:
            await node.stop()

    async def again(self, node: Node, *, seeds: list[str] | None = None, **parts: Any) -> Node:
        """The machine of ``node`` with its key and its disk, at another address."""
        ports = node.ports
        kept = {"store": ports.store, "ledger": ports.ledger, "crypto": ports.crypto}
        return await self.add(node.settings, seeds=seeds, **{**kept, **parts})

    def crash(self, node: Node, *, silent: bool = True) -> None:
        """``node`` is gone: it is neither heard nor hears."""
        self.network.crash(address_of(node), silent=silent)


def tell(story: Callable[[Lab], Awaitable[T]], *, seed: int = 1, limit_s: float = 1e7) -> T:
    """Run a story in a new world, stop every node, and see that nothing of it is left."""
    loop = VirtualLoop()

    async def whole() -> T:
        try:
            async with asyncio.timeout(limit_s):
                result = await story(lab)
        finally:
            await lab.stop()
        await asyncio.sleep(1)
        left = [task for task in loop.tasks() if task is not asyncio.current_task()]
        assert left == []
        return result

    lab = Lab(loop, seed)
    result = run(whole(), loop)
    gc.collect(0)  # a task whose error nobody took would report it now
    assert loop.unhandled == []
    return result


def ticket_of(node: Node) -> str:
    """What other nodes join through."""
    return str(Ticket(node.settings.network.name, node.public_key, node.addresses()))


def address_of(node: Node) -> Address:
    return node.ports.endpoint.local


def check_receipts(lab: Lab, result: PutOutcome, *, copies: int) -> None:
    """Distinct holders signed for the unit, verifiably without the network, and hold it."""
    by_unit: dict[bytes, set[bytes]] = {}
    crypto = SimCrypto(b"a stranger", b"a stranger")
    holders = {node.public_key: node for node in lab.nodes}
    for receipt in result.receipts:
        check(receipt, Network("main"), crypto)
        assert receipt.root == result.cid.raw
        assert receipt.node == receipt.node_id
        by_unit.setdefault(receipt.unit, set()).add(receipt.public_key)
        holder = holders[receipt.signer]
        claims = {
            (claim.policy.owner, claim.policy.sequence): claim
            for claim in holder.ledger.claims.for_unit(receipt.unit)
        }
        unit = unit_of_claim(claims[receipt.owner, receipt.policy_seq])
        assert read_whole(holder.ports.store, unit) == (receipt.blocks, receipt.size)
    assert {len(keys) for keys in by_unit.values()} == {copies}
    assert len({(r.unit, r.blocks, r.size) for r in result.receipts}) == len(by_unit)
    assert len({r.policy_seq for r in result.receipts}) == 1


def read_whole(store: BlockStore, unit: Unit) -> tuple[int, int]:
    """Read and verify every block of a unit; how many there are, and their content bytes."""
    with ThreadPoolExecutor(1) as aside:  # a store on the disk is not read on a loop
        walk = aside.submit(walk_local, store, unit, Leaves.READ).result()
    return walk.blocks, walk.size_bytes


def units_of(node: Node, result: PutOutcome) -> list[Unit]:
    return local_units(node.ports.store, result.cid)


async def put_with(
    node: Node,
    data: bytes,
    *,
    replicas: int = 3,
    min_acks: int | None = None,
    ttl_s: float | None = None,
    progress: Watch = unwatched,
) -> PutOutcome:
    async def once() -> AsyncIterator[bytes]:
        yield data

    return await node.uploader().put(
        once(), name="b", replicas=replicas, min_acks=min_acks, ttl_s=ttl_s, progress=progress
    )


async def pin(node: Node, root: Cid) -> None:
    async with node.fetch_session() as session:
        await node.pinning().add(session, root, "kept", unwatched)


def policy_of(node: Node, root: Cid, **fields: Any) -> Policy:
    """A policy the node's owner signed."""
    return sign_policy(node.identity, root, **fields)


class UnevenBlocking(InlineBlocking):
    """A disk that takes its time now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = random.Random(5)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        self.delay_s = self.rng.choice([0.001, 1.0])
        return await super().run(function, *args)


async def providers_seen(node: Node, unit: Unit) -> set[bytes]:
    """Public keys of those a node finds for a unit."""
    found = await node.dht.find_providers(unit.key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=15)
    return {provider.record.signer for provider in found.providers}


def small(capacity_bytes: int, **settings: Any) -> NodeSettings:
    return replace(STORAGE, capacity_bytes=capacity_bytes, **settings)
