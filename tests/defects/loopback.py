"""The same world as in ``tests.unit.dht.world`` on real sockets: UDP over loopback with ephemeral
ports, real keys, and a clock that leaps."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dhtstore.model.contact import Address
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.udp import UdpEndpoint
from dhtstore.tasks import Supervisor
from tests.defects.leaping import LeapingLoop
from tests.unit.dht.world import World

T = TypeVar("T")
OnDatagram = Callable[[bytes, Address], None]


class LoopbackEndpoint:
    """A ``UdpEndpoint`` that loses what the network says, and counts what is on its way."""

    def __init__(self, net: LoopbackNet, host: str) -> None:
        self._net, self._udp = net, UdpEndpoint(host, 0)
        self._on_datagram: OnDatagram | None = None

    @property
    def local(self) -> Address:
        return self._udp.local

    @property
    def behind(self) -> bool:
        return self._udp.behind

    @property
    def lost(self) -> int:
        return self._udp.lost

    async def open(self, on_datagram: OnDatagram, duties: Supervisor) -> None:
        self._on_datagram = on_datagram
        await self._udp.open(self._arrived, duties)
        self._net.open_endpoints[self.local] = self

    def _arrived(self, data: bytes, source: Address) -> None:
        self._net.on_its_way = max(0, self._net.on_its_way - 1)
        if self._on_datagram is not None:
            self._on_datagram(data, source)

    def send(self, data: bytes, to: Address) -> bool:
        net = self._net
        if net.drops is not None and net.drops(self.local, to, data):
            return True
        sent = self._udp.send(data, to)
        if sent and to in net.open_endpoints:
            net.on_its_way += 1
        return sent

    def drop(self) -> None:
        """Hear and say nothing any more, as a machine that lost power."""
        self._on_datagram = None

    async def close(self) -> None:
        self._net.open_endpoints.pop(self.local, None)
        await self._udp.close()


class LoopbackNet:
    """As much of ``SimNetwork`` as these tests use."""

    def __init__(self) -> None:
        self.drops: Callable[[Address, Address, bytes], bool] | None = None
        self.open_endpoints: dict[Address, LoopbackEndpoint] = {}
        self.on_its_way = 0
        self._every: list[LoopbackEndpoint] = []

    def endpoint(self, address: Address) -> LoopbackEndpoint:
        """At that host's like on loopback, on whatever port is free; of IPv6 there is one."""
        host = address.host
        if ":" not in host:
            host = "127" + host[host.index(".") :]
        self._every.append(LoopbackEndpoint(self, host))
        return self._every[-1]

    async def close(self) -> None:
        """Of whomever."""
        for endpoint in self._every:
            await endpoint.close()

    def crash(self, address: Address) -> None:
        """Its socket stays open and deaf: nothing tells those who send there."""
        self.open_endpoints.pop(address).drop()

    def is_open(self, address: Address) -> bool:
        return address in self.open_endpoints

    def none_on_the_way(self) -> None:
        """The kernel lost some."""
        self.on_its_way = 0


class LoopbackWorld(World):
    """``net`` loses nothing unless ``drops`` says so; whoever sends there is heard at once."""

    loop: LeapingLoop  # type: ignore[assignment]
    net: LoopbackNet  # type: ignore[assignment]

    def make_loop(self) -> LeapingLoop:
        return LeapingLoop()

    def make_net(self, seed: int, loss: float) -> LoopbackNet:
        net = LoopbackNet()
        self.loop.on_its_way = lambda: net.on_its_way
        self.loop.lost_on_the_way = net.none_on_the_way
        if loss:
            net.drops = lambda source, to, data: self.rng.random() < loss
        return net

    def make_crypto(self, node_secret: bytes, owner_secret: bytes) -> Ed25519Crypto:
        return Ed25519Crypto(*(hashlib.sha256(one).digest() for one in (node_secret, owner_secret)))

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return run_leaping(self._whole(main), self.loop)

    async def _whole(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            return await main
        finally:
            await self.net.close()


def run_leaping(main: Coroutine[Any, Any, T], loop: LeapingLoop, *, strict: bool = True) -> T:
    """To its end, and close the loop; ``strict`` raises what nobody saw."""
    try:
        result = loop.run_until_complete(main)
        loop.run_until_complete(_settled())
    finally:
        loop.close()
    gc.collect()
    if strict and loop.unhandled:
        raise loop.unhandled[0]
    return result


async def _settled() -> None:
    """Sockets close in callbacks."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    for _ in range(3):
        await asyncio.sleep(0)


def ipv6_loopback() -> bool:
    """Whether this machine has one."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return os.path.exists("/proc/net/if_inet6")
