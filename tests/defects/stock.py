"""Servers of the plain ``kademlia`` package, unchanged, on real UDP or in memory, in virtual time:
to show that they have the defect that a test of ours is about."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

import kademlia.routing
import kademlia.storage
import umsgpack
from kademlia.network import Server
from kademlia.node import Node

from simulations.world.loop.virtual_loop import VirtualLoop, shut_down
from tests.defects.leaping import LeapingLoop
from tests.defects.loopback import run_leaping

Where = tuple[str, int]
StockPlay = Callable[[Callable[["StockWorld"], Awaitable[object]]], None]
LATENCY_S: Final = (0.02, 0.15)
REQUEST, ANSWER = b"\x00", b"\x01"


class StockWorld:
    """Servers and bare sockets that talk to them."""

    def __init__(self, *, udp: bool) -> None:
        self.udp, self.rng = udp, random.Random(1)
        self.loop: Any = LeapingLoop() if udp else VirtualLoop()
        self.at: dict[Where, Any] = {}  # protocols in memory
        self.drops: Callable[[Where, Where, bytes], bool] = lambda source, to, data: False
        self.servers: list[Server] = []
        self.sockets: list[Any] = []

    async def server(self, number: int = 0, **settings: Any) -> Server:
        """With a random id; ``settings`` are those of ``Server``."""
        settings.setdefault("node_id", self.rng.randbytes(20))
        server = Server(**settings)
        server.where = await self._open(server, server._create_protocol)
        server.refresh_table()
        self.servers.append(server)
        return server

    async def grow(self, count: int, **settings: Any) -> list[Server]:
        """Each bootstrapped by the first."""
        grown = [await self.server(**settings) for _ in range(count)]
        for server in grown[1:]:
            await server.bootstrap([grown[0].where])
        return grown

    async def _open(self, owner: Any, make: Callable[[], Any]) -> Where:
        if self.udp:
            owner.transport, owner.protocol = await self.loop.create_datagram_endpoint(
                make, local_addr=("127.0.0.1", 0)
            )
            owner.transport = _Lossy(self, owner.transport)
            owner.protocol.transport = owner.transport
        else:
            where = ("127.0.0.1", 1024 + len(self.at))
            owner.protocol = self.at[where] = make()
            owner.transport = _MemoryTransport(self, where)
            owner.protocol.connection_made(owner.transport)
        where = owner.transport.get_extra_info("sockname")
        return where[0], where[1]

    async def bare(self, answer: Callable[[list[Any]], Any] = lambda asked: None) -> Bare:
        """A socket that answers requests as ``answer`` says, ``None`` for not at all."""
        bare = Bare(answer)
        bare.where = await self._open(bare, lambda: bare)
        self.sockets.append(bare)
        return bare

    def crash(self, server: Server) -> None:
        """It hears and says nothing any more, and nobody is told."""
        server.protocol.datagram_received = lambda data, source: None
        server.stop()

    async def close(self) -> None:
        for server in self.servers:
            server.stop()
        for bare in self.sockets:
            bare.transport.close()
        await asyncio.sleep(0)


class Bare(asyncio.DatagramProtocol):
    """Says what it is told to say."""

    where: Where
    transport: Any

    def __init__(self, answer: Callable[[list[Any]], Any]) -> None:
        self.answer, self.node_id = answer, b"\x7f" * 20
        self.heard: list[bytes] = []
        self.asked: list[list[Any]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, source: Any) -> None:
        self.heard.append(data)
        if data[:1] != REQUEST:
            return
        asked = umsgpack.unpackb(data[21:])
        self.asked.append(asked)
        answer = self.node_id if asked[0] == "ping" else self.answer(asked)
        if answer is not None:
            self.transport.sendto(ANSWER + data[1:21] + umsgpack.packb(answer), source)

    def ask(self, server: Server, *asked: Any, message_id: bytes = b"m" * 20) -> int:
        """Send a request; its size in bytes."""
        name, *values = asked
        data = REQUEST + message_id + umsgpack.packb([name, values])
        self.transport.sendto(data, server.where)
        return len(data)

    def send(self, server: Server, data: bytes) -> None:
        self.transport.sendto(data, server.where)


class _MemoryTransport:
    """Delivers later, never at once; takes the addresses that a socket takes."""

    def __init__(self, world: StockWorld, where: Where) -> None:
        self._world, self._where, self._closing = world, where, False

    def sendto(self, data: bytes, to: Any) -> None:
        if self._closing:
            raise AttributeError("closed")
        _, port = str(to[0]), to[1]
        if not isinstance(to[0], str) or not 0 <= port <= 65_535:
            self._closing = True  # asyncio ends the transport and raises nothing
            return
        source = self._where
        if not self._world.drops(source, (to[0], port), data):
            delay_s = self._world.rng.uniform(*LATENCY_S)
            self._world.loop.call_later(delay_s, self._arrive, (to[0], port), data)

    def _arrive(self, to: Where, data: bytes) -> None:
        receiver = self._world.at.get(to)
        if receiver is not None and not receiver.transport.is_closing():
            receiver.datagram_received(data, self._where)

    def get_extra_info(self, name: str) -> Where:
        return self._where

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing


class _Lossy:
    """A real transport that loses what the world says."""

    def __init__(self, world: StockWorld, transport: Any) -> None:
        self._world, self._transport = world, transport

    def sendto(self, data: bytes, to: Any) -> None:
        if not self._world.drops(self.get_extra_info("sockname"), to, data):
            self._transport.sendto(data, to)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def play_stock(scene: Callable[[StockWorld], Awaitable[object]], *, udp: bool) -> None:
    """Run a scene; what the library's tasks raise unseen is in ``world.loop.unhandled``."""
    world = StockWorld(udp=udp)

    async def main() -> None:
        try:
            await scene(world)
        finally:
            await world.close()

    with _virtual(world.loop):
        if udp:
            run_leaping(main(), world.loop, strict=False)
        else:
            try:
                world.loop.run_until_complete(main())
            finally:
                shut_down(world.loop)


@contextmanager
def _virtual(loop: Any) -> Iterator[None]:
    """The library reads the clock of that loop, chooses at random the same each time, and logs
    nothing: it logs a stack for each hostile datagram."""
    modules = (kademlia.routing, kademlia.storage)
    real, before, chance = (
        [each.time for each in modules],
        logging.root.manager.disable,
        random.getstate(),
    )
    clock = SimpleNamespace(monotonic=loop.time)
    try:
        logging.disable(logging.CRITICAL)
        random.seed(1)
        for each in modules:
            each.time = clock
        yield
    finally:
        for each, one in zip(modules, real, strict=True):
            each.time = one
        logging.disable(before)
        random.setstate(chance)


def nodes(count: int, rng: random.Random) -> list[Node]:
    """Made up, at made-up addresses."""
    return [Node(rng.randbytes(20), f"10.0.0.{n % 250 + 1}", 1024 + n) for n in range(count)]
