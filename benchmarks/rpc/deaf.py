"""A node that hears nothing, or next to nothing, for a while: when its contacts are back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.rpc.live import LiveNode, network_of
from benchmarks.rpc.neighbours import NODES, SEED
from dhtstore.model.contact import Address
from dhtstore.net.udp import UdpEndpoint
from dhtstore.params import NODE_ID_BYTES
from dhtstore.tasks import Supervisor

WAIT_S: Final = 60.0  # for its contacts, then it has failed
SEARCHES: Final = 3  # at a time, all the while
_LOOK_S: Final = 0.1


class HardOfHearing(UdpEndpoint):
    """Hands on that share of what arrives."""

    hears = 1.0

    async def open(self, on_datagram: Callable[[bytes, Address], None], duties: Supervisor) -> None:
        rng = random.Random(SEED)

        def some(data: bytes, source: Address) -> None:
            if rng.random() < self.hears:
                on_datagram(data, source)

        await super().open(some, duties)


@dataclass(frozen=True, slots=True)
class Deaf:
    """It had ``before`` contacts, ``left`` of them at the end; all were back ``back_s`` later."""

    before: int
    left: int
    back_s: float


def deaf(seconds: float, hears: float) -> Deaf:
    """One of 40 on loopback that searches all the time and ``hears`` that share of datagrams."""
    return asyncio.run(_deaf(seconds, hears))


async def _deaf(seconds: float, hears: float) -> Deaf:
    async with network_of(NODES, HardOfHearing) as nodes:
        node, rng = nodes[1], random.Random(SEED)
        before, socket = set(node.dht.contacts()), node.endpoint
        assert isinstance(socket, HardOfHearing)
        socket.hears = hears
        await asyncio.gather(*(_busy(node, rng, seconds) for _ in range(SEARCHES)))
        left = len(before & set(node.dht.contacts()))
        socket.hears = 1.0
        begun_s = time.monotonic()
        for _ in range(int(WAIT_S / _LOOK_S)):
            if len(node.dht.contacts()) >= len(before):
                break
            await asyncio.sleep(_LOOK_S)
        return Deaf(len(before), left, time.monotonic() - begun_s)


async def _busy(node: LiveNode, rng: random.Random, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        await node.dht.lookup(rng.randbytes(NODE_ID_BYTES), timeout_s=left_s)
        await asyncio.sleep(_LOOK_S)
