"""A world: production Nodes on a simulated network, in one virtual loop.

Nothing of a Node is replaced but its ports; no code in it knows that it is in here.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.node.join import join
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.node.progress import no_progress
from dhtstore.node.put import PutResult, put
from dhtstore.node.read import read
from dhtstore.params import GIB
from dhtstore.store.memory import MemoryBlockStore, MemoryKeyValue
from dhtstore.wire.ticket import Ticket
from simulations.crypto import SimCrypto
from simulations.network import SimNetwork
from simulations.ports import InlineBlocking, SimClock, SimEntropy, derive
from simulations.trace import Trace
from simulations.virtual_loop import VirtualLoop

PORT = 7400
STORAGE = NodeSettings(capacity_bytes=GIB, owner_quota_bytes=GIB)


class World:
    """Makes and keeps nodes; one seed gives one run."""

    def __init__(self, loop: VirtualLoop, seed: int, network: SimNetwork | None = None) -> None:
        self.loop, self.seed = loop, seed
        self.trace = network.trace if network else Trace()
        self.network = network or SimNetwork(
            loop, random.Random(derive(seed, "network")), trace=self.trace
        )
        self.nodes: list[Node] = []

    def node(self, settings: NodeSettings = STORAGE) -> Node:
        """A node that is not started yet, on a machine of its own."""
        number = len(self.nodes)
        address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", PORT)
        label = f"node/{number}"
        crypto = SimCrypto(
            *(derive(self.seed, f"{label}/{key}").to_bytes(32, "big") for key in ("node", "owner"))
        )
        node = Node(self._ports(label, address, crypto), replace(settings, advertise=(address,)))
        self.nodes.append(node)
        return node

    def _ports(self, label: str, address: Address, crypto: SimCrypto) -> Ports:
        return Ports(
            clock=SimClock(self.loop),
            entropy=SimEntropy(self.seed, label),
            crypto=crypto,
            endpoint=self.network.endpoint(address),
            streams=self.network.streams(address, crypto.node.public_key),
            blocking=InlineBlocking(),
            store=MemoryBlockStore(),
            ledger=MemoryKeyValue(),
            tracer=self._tracer(label),
        )

    def _tracer(self, label: str) -> NodeTracer:
        return NodeTracer(self, label)

    async def grow(self, count: int, settings: NodeSettings = STORAGE) -> None:
        """Start ``count`` nodes one after the other; each joins through the first."""
        for _ in range(count):
            node = self.node(settings)
            await node.start()
            seeds = [ticket_of(self.nodes[0])] if len(self.nodes) > 1 else []
            await join(node, seeds)

    async def stop(self) -> None:
        """Stop every node, in order."""
        for node in self.nodes:
            await node.stop()


class NodeTracer:
    """Writes a node's own events into the trace of the run."""

    def __init__(self, world: World, label: str) -> None:
        self._world, self._label = world, label

    def __call__(self, event: str, **fields: object) -> None:
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self._world.trace.state(self._world.loop.time(), event, f"{self._label} {told}")


def ticket_of(node: Node) -> str:
    """What other nodes join through."""
    return str(Ticket(node.settings.network, node.public_key, node.addresses()))


async def put_bytes(node: Node, data: bytes, *, replicas: int = 3) -> PutResult:
    """Put bytes as a file without a disk."""
    return await put(
        node, _once(data), name="bytes", replicas=replicas, min_acks=None, progress=no_progress
    )


async def get_bytes(node: Node, root: Cid) -> bytes:
    """Get a file into memory."""
    taken = bytearray()

    async def write(piece: bytes | memoryview) -> None:
        taken.extend(piece)

    await read(node, root, (), write)
    return bytes(taken)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
