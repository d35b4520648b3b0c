"""What several of these tests begin with."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from dhtstore.model.identity import dht_key
from dhtstore.wire.datagram import FindNode, FoundNodes, Ping, Pong
from tests.unit.dht.rogue import Answer, Rogue
from tests.unit.dht.world import Member, World

KEY = dht_key(b"unit")
PONG = msgspec.msgpack.encode(Pong(bytes((10, 0, 0, 1)) + (7400).to_bytes(2, "big")))


def encode(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def answering(found: object) -> Answer:
    """Pings are answered as they should be, everything else with ``found``."""
    return lambda request: PONG if isinstance(request, Ping) else encode(found)


def living(request: object) -> bytes | None:
    """A node that knows nobody and keeps nothing, but is there."""
    if isinstance(request, FindNode):
        return encode(FoundNodes(b""))
    return PONG if isinstance(request, Ping) else None


async def one_and_rogue(world: World, found: object) -> tuple[Member, Rogue]:
    """A node whose only contact answers ``found`` from now on."""
    (member,) = await world.grow(1)
    rogue = await Rogue(world).open()
    rogue.answer = living
    assert await member.dht.bootstrap([rogue.contact]) == 1
    rogue.answer = answering(found)
    return member, rogue


async def steps_of(scene: Callable[[], Awaitable[object]]) -> int:
    """How many functions of Python run meanwhile: as good as CPU, and the same each time."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(called)
    try:
        await scene()
    finally:
        sys.setprofile(None)
    return count


async def cpu_s_of(scene: Callable[[], Awaitable[object]]) -> float:
    began_s = time.thread_time()
    await scene()
    return time.thread_time() - began_s
