"""A node that 20,000 datagrams a second are sent to, half of them malformed, half in order and each
of another key: what it asks itself is answered as ever."""

from __future__ import annotations

import asyncio
import itertools

from benchmarks.rpc.flooder import flood
from dhtstore.model.contact import Address
from dhtstore.params import (
    CHALLENGES_PER_S,
    MALFORMED_TOLD_PER_MINUTE,
    NODE_ID_BYTES,
    STRANGER_KEYS_PER_S,
    K,
)
from tests.unit.dht.world import Member, World, play

NODES = 30
RATE_PER_S, SECONDS = 20_000, 2
STEP_S = 0.005
SOURCES = [f"{60 + n % 100}.{n // 100}.1.1" for n in range(2000)]


async def send_all(world: World, member: Member) -> None:
    """From sources anywhere, none of which receives anything."""
    datagrams, sources = flood(world.network, seed=1), itertools.cycle(SOURCES)
    for _ in range(int(SECONDS / STEP_S)):
        for data in itertools.islice(datagrams, int(RATE_PER_S * STEP_S)):
            member.dht.rpc.channel.receive(data, Address(next(sources), 7400))
        await asyncio.sleep(STEP_S)


async def look_up(world: World, member: Member) -> bool:
    """Whether exactly the K closest are found, in order."""
    target = world.rng.randbytes(NODE_ID_BYTES)
    others = [one.contact.node for one in world.members if one is not member]
    number = int.from_bytes(target, "big")
    others.sort(key=lambda node: int.from_bytes(node, "big") ^ number)
    found = await member.dht.lookup(target, timeout_s=15)
    return [contact.node for contact in found] == others[:K]


def test_its_lookups_find_all_and_its_table_stays_whole() -> None:
    async def scene(world: World) -> None:
        member = (await world.grow(NODES))[0]
        await look_up(world, member)
        known, agreed = set(member.dht.contacts()), 0
        agree = member.crypto.agree

        def counted(public_key: bytes) -> bytes:
            nonlocal agreed
            agreed += 1
            return agree(public_key)  # type: ignore[arg-type]

        member.crypto.agree = counted  # type: ignore[method-assign]
        flooding = asyncio.create_task(send_all(world, member))
        took_s, right = list[float](), list[bool]()
        while not flooding.done():
            begun_s = world.loop.time()
            right.append(await look_up(world, member))
            took_s.append(world.loop.time() - begun_s)
        await flooding
        assert len(right) >= 3
        assert all(right)
        assert max(took_s) < 1
        assert set(member.dht.contacts()) == known
        told = [event for event, _ in world.events if event == "dht.malformed"]
        assert len(told) <= MALFORMED_TOLD_PER_MINUTE
        assert agreed <= STRANGER_KEYS_PER_S * (SECONDS + 1)
        assert member.dht.counters["needs cookie"] <= CHALLENGES_PER_S * (SECONDS + 1)

    play(scene)
