"""Links between simulated machines, for tests of everything that talks over them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import sign
from dhtstore.net.ports import Stream
from dhtstore.node.context import Disk
from dhtstore.node.copies.serve_blocks import BlockServer
from dhtstore.node.links.handshake import Credentials, greet
from dhtstore.node.links.link import Arrival, Handler, Link
from dhtstore.node.links.pool import Links
from dhtstore.node.traffic.traffic import Traffic
from dhtstore.params import CHUNK_SIZE_BYTES, MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import FrameRequest, GetBlocks
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.unit.node.links.ends import read

__all__ = ["Peer", "Scene", "World", "collect", "connected", "play", "raw_session", "read"]


class Peer:
    """One machine with a store, links and the block server."""

    def __init__(
        self, world: World, name: str, handlers: Mapping[type[FrameRequest], Handler], host: str
    ) -> None:
        self.world, self.name = world, name
        self.address = Address(host, 7400)
        self.crypto = SimCrypto(name.encode(), name.encode())
        self.key: PublicKey = self.crypto.node.public_key
        self.streams = world.streams.transport(self.address, self.key)
        self.store, self.blocking = MemoryBlockStore(), InlineBlocking()
        self.disk = Disk(self.store, self.blocking)
        self.traffic = Traffic()
        self.server = BlockServer(self.disk, up=self.traffic.up)
        self.failures: list[BaseException] = []
        self.events: list[str] = []
        self.supervisor = Supervisor(on_failure=lambda _, error: self.failures.append(error))
        self.clock = SimClock(world.loop)
        self.handlers: dict[type[FrameRequest], Handler] = {
            GetBlocks: self.server.serve,
            **handlers,
        }
        self.links = Links(
            network=Network(world.names.get(name, "main")),
            crypto=self.crypto,
            entropy=SimEntropy(1, name),
            clock=self.clock,
            transport=self.streams,
            own_record=self.record,
            handlers=self.handlers,
            supervisor=self.supervisor,
            tracer=lambda event, **fields: self.events.append(event),
            traffic=self.traffic,
        )

    def record(self) -> ContactRecord:
        now_s = int(self.clock.unix_s()) // 3600 * 3600
        where = ((self.address.host, self.address.port),)
        unsigned = ContactRecord(self.key, where, 1, self.name, 1, now_s, now_s + 7200)
        return sign(unsigned, Network(self.world.names.get(self.name, "main")), self.crypto.node)

    def hold(self, content: bytes) -> Cid:
        """Import a file into this peer's store; its root."""
        blocks, root = imported(content)
        with self.store.batch() as batch:
            for cid, data in blocks:
                batch.put(cid, data)
            batch.commit()
        return root

    async def raw(self, to: Peer) -> Stream:
        """A stream that speaks no protocol yet, for misbehaving on."""
        return await self.streams.dial(to.address, to.key, 5.0)


@lru_cache(maxsize=2)
def imported(content: bytes) -> tuple[list[tuple[Cid, bytes]], Cid]:
    """The blocks of a file and its root: peers that hold the same share the bytes, or a dozen of
    them would fill the memory of a test."""
    builder, blocks = FileBuilder(), list[tuple[Cid, bytes]]()
    for at in range(0, len(content), CHUNK_SIZE_BYTES):
        chunk = content[at : at + CHUNK_SIZE_BYTES]
        cid = Cid.of(chunk)
        blocks.append((cid, chunk))
        blocks += ((block.cid, bytes(block.data)) for block in builder.add_leaf(cid, len(chunk)))
    root = builder.finish()
    return [*blocks, *((block.cid, bytes(block.data)) for block in root.blocks)], root.cid


Scene = Callable[["World"], Awaitable[None]]


BUFFER_BYTES = MIB // 2  # so that a few blocks are more than a stream takes


class World:
    """Machines 10 ms apart.  ``names`` gives a machine another network's name."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self.loop = VirtualLoop()
        self.network = SimNetwork(self.loop, random.Random(1), FixedLatency(0.01))
        self.network.receive_buffer_bytes = self.network.send_buffer_bytes = BUFFER_BYTES
        self.streams = SimStreams(self.network)
        self.names = names or {}
        self.peers: list[Peer] = []

    async def peer(
        self,
        name: str,
        handlers: Mapping[type[FrameRequest], Handler] | None = None,
        host: str = "",
    ) -> Peer:
        """At ``host``, else at one that is of the same origin as the others."""
        host = host or f"10.0.0.{len(self.peers) + 1}"
        peer = Peer(self, name, handlers or {}, host)
        self.peers.append(peer)
        await peer.links.listen(peer.address.port, peer.supervisor)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            await peer.links.close()
            await peer.supervisor.close()


def play(scene: Scene, names: Mapping[str, str] | None = None) -> World:
    """Run a scene in virtual time; no task of any peer may fail."""
    world = World(names)

    async def main() -> None:
        await scene(world)
        await world.close()

    run(main(), world.loop)
    for peer in world.peers:
        assert peer.failures == []
    return world


async def connected(world: World, b_handlers: dict | None = None) -> tuple[Peer, Peer, Link]:  # type: ignore[type-arg]
    a, b = await world.peer("a"), await world.peer("b", b_handlers)
    return a, b, await a.links.to(b.key, [b.address], 5.0)


async def collect(link: Link, cids: Sequence[Cid]) -> tuple[dict[int, bytes], list[int], int]:
    """What ``get_blocks`` brings: blocks by index, missing indices, and in how many parts."""
    blocks: dict[int, bytes] = {}
    missing: list[int] = []
    parts = 0

    def on_arrival(arrival: Arrival) -> None:
        nonlocal parts
        parts += 1
        blocks.update((index, bytes(data)) for index, data in arrival.blocks)
        missing.extend(arrival.missing)

    await link.get_blocks(cids, on_arrival, lambda response: lambda: None)
    return blocks, missing, parts


async def raw_session(a: Peer, b: Peer) -> Stream:
    """A stream of ``a`` that ``b`` has welcomed, for misbehaving on."""
    stream = await a.raw(b)
    own = Credentials(Network("main"), a.crypto, None, a.clock.unix_s())
    await greet(stream, own, SimEntropy(1, f"{a.name} raw"))
    return stream
