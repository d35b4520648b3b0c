"""A thousand index nodes in virtual time, and one node that keeps a library."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from dhtstore.dht.service import DhtService
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.network import Network
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.params import SIGNATURE_BYTES
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.tasks import Supervisor
from dhtstore.trace import no_trace
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.latency import UniformLatency
from simulations.world.network.network import SimNetwork
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy

_LATENCY_S = (0.02, 0.15)  # one way, fixed per pair


@dataclass(slots=True)
class IndexNode:
    """One node of the network, with what it would take to announce."""

    world: NodesOnly
    number: int
    dht: DhtService = field(init=False)
    identity: Identity = field(init=False)
    clock: SimClock = field(init=False)
    duties: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        world, number = self.world, self.number
        crypto, self.clock = SimCrypto(b"%d/%d" % (world.seed, number), b"o"), SimClock(world.loop)
        address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7400)
        self.identity = Identity(crypto, self.clock, NodeSettings(), lambda: (address,))
        self.duties = Supervisor(no_trace)
        self.dht = DhtService(
            network=Network(),
            crypto=crypto,
            clock=self.clock,
            entropy=SimEntropy(world.seed, f"node {number}"),
            endpoint=world.net.endpoint(address),
            tracer=no_trace,
            duties=self.duties,
            own=self.identity,
            storage_node=True,
            ephemeral=False,
        )

    @property
    def contact(self) -> Contact:
        return Contact.of(self.identity.public_key, self.identity.addresses()[0], storage=True)

    def library(self, units: int) -> Reprovide:
        """Its duty of announcing ``units`` that its owner put."""
        store, blocking = MemoryBlockStore(), InlineBlocking()
        ledger = Ledger.of(MemoryKeyValue(), no_trace, self.identity.owner)
        with store.batch() as batch:
            for number in range(units):
                block = b"%d" % number
                cid = Cid.of(block)
                batch.put(cid, block)
                policy = Policy(self.identity.owner, cid.raw, 1, 3, 0, removed=False)
                signed = attach(policy, bytes(SIGNATURE_BYTES))
                ledger.claims.put(Claim(cid.raw, (cid.raw,), False, len(block), 1, signed))
            batch.commit()
        disk, joined = Disk(store, blocking), asyncio.Event()
        joined.set()
        return Reprovide(
            self.identity,
            disk,
            self.dht,
            self.clock,
            SimEntropy(self.world.seed, "announcing"),
            no_trace,
            joined,
            Completeness(disk, ledger, no_trace),
        )


class NodesOnly:
    """``count`` nodes that have met each other as they joined."""

    def __init__(self, count: int, seed: int) -> None:
        self.loop, self.seed = VirtualLoop(), seed
        self.rng = random.Random(seed)
        self.net = SimNetwork(self.loop, self.rng, UniformLatency(seed, *_LATENCY_S))
        self.nodes = [IndexNode(self, number + 1) for number in range(count)]

    async def grow(self) -> None:
        """Each joins through one that is there already."""
        for at, node in enumerate(self.nodes):
            await node.dht.start()
            if at:
                await node.dht.bootstrap([self.rng.choice(self.nodes[:at]).contact])

    async def stop(self) -> None:
        for node in self.nodes:
            await node.duties.close()
            await node.dht.stop()
