"""Answers that were lost here are no fault of those who gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from dhtstore.dht.core.newcomers.own_line import OwnLine
from dhtstore.dht.core.peer import peer_of
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.params import BEHIND_MAX, BEHIND_S, DEAF_S
from dhtstore.wire.datagram import Ping
from tests.unit.dht.world import Member, World, play

NODES = 12
TARGET = b"\x07" * 20


async def grown(world: World) -> Member:
    """A node that knows all others, and believes in them."""
    members = await world.grow(NODES)
    for other in members[1:]:
        await members[0].dht.ping(other.contact, 3)
    await asyncio.sleep(DEAF_S + 10)
    for other in members[1:]:
        await members[0].dht.ping(other.contact, 3)
    assert len(members[0].dht.contacts()) == NODES - 1
    return members[0]


def hears(member: Member, taken: Callable[[bytes], bool]) -> None:
    """From here on only datagrams that are ``taken`` get to the node."""
    channel = member.dht.rpc.channel
    receive = channel.receive

    def some(data: bytes, source: Address) -> None:
        if taken(data):
            receive(data, source)

    member.endpoint.on_datagram = some


def test_a_table_outlives_answers_that_the_own_socket_dropped() -> None:
    async def scene(world: World) -> None:
        member, heard = await grown(world), 0

        def taken(data: bytes) -> bool:
            """One in twenty: others were heard, so that the line is no excuse."""
            nonlocal heard
            heard += 1
            member.endpoint.lost += heard % 20 > 0
            return heard % 20 == 0

        hears(member, taken)
        for _ in range(4):
            await member.dht.lookup(TARGET, timeout_s=15)
        assert len(member.dht.contacts()) == NODES - 1
        assert member.dht.counters["not_blamed"] > NODES

    play(scene)


def test_a_table_outlives_a_line_that_is_down_for_twenty_seconds() -> None:
    async def scene(world: World) -> None:
        member = await grown(world)
        hears(member, lambda data: False)
        for _ in range(5):
            await member.dht.lookup(TARGET, timeout_s=15)
            await asyncio.sleep(1)
        assert len(member.dht.contacts()) >= NODES - 2
        hears(member, lambda data: True)
        found = await member.dht.lookup(TARGET, timeout_s=15)
        assert len(found) == NODES - 1

    play(scene)


def test_those_who_are_gone_are_forgotten_where_others_answer() -> None:
    async def scene(world: World) -> None:
        member = await grown(world)
        for gone in world.members[1:6]:
            world.net.crash(gone.address)
        for _ in range(12):
            await member.dht.lookup(TARGET, timeout_s=15)
            await asyncio.sleep(30)
        assert len(member.dht.contacts()) == NODES - 6

    play(scene)


def test_where_all_are_gone_all_are_forgotten_but_the_last() -> None:
    async def scene(world: World) -> None:
        member = await grown(world)
        for gone in world.members[1:]:
            world.net.crash(gone.address)
        for _ in range(40):
            await member.dht.lookup(TARGET, timeout_s=15)
            await asyncio.sleep(5)
        assert len(member.dht.contacts()) <= 1

    play(scene)


def test_an_answer_that_has_arrived_and_is_not_read_yet_is_waited_for() -> None:
    async def scene(world: World) -> None:
        member = await grown(world)
        world.net.crash(world.members[1].address)
        loop = asyncio.get_running_loop()

        async def failing_s() -> float:
            begun_s, ended = loop.time(), loop.create_future()
            peer = next(p for p in member.dht.rpc.table if p.address == world.members[1].address)
            member.dht.rpc.calls.ask(peer, Ping(), lambda *_: ended.set_result(None), attempts=1)
            await ended
            return loop.time() - begun_s

        usual_s = await failing_s()
        member.endpoint.behind = True
        behind_s = await failing_s()
        assert abs(behind_s - usual_s - BEHIND_MAX * BEHIND_S) < 0.01, "and not for ever"

    play(scene)


def test_who_was_silent_is_blamed_once_another_is_heard_and_not_if_none_is() -> None:
    world = World()
    a, b = (peer_of(world.add().contact) for _ in range(2))
    line = OwnLine()
    assert not list(line.heard(10.0))
    assert not line.suspect(9.0, 11.0), "others were heard since it was asked"
    assert line.suspect(11.0, 12.0)
    line.hold(a, ping=True)
    assert list(line.heard(12.5)) == [(a, True)]
    line.hold(a, ping=True)
    line.hold(b, ping=False)
    assert line.deaf(14.0) == 2
    assert not list(line.heard(15.0))
    assert line.suspect(16.0, 20.0)
    assert not line.suspect(79.0, 20.1 + DEAF_S), "all of them may be gone"


def test_the_dead_are_forgotten_though_nobody_else_was_asked_meanwhile() -> None:
    async def scene(world: World) -> None:
        member = await grown(world)
        gone = world.members[1:6]
        for one in gone:
            world.net.crash(one.address)
        for _ in range(3):
            for one in gone:
                with suppress(ConnectionLost):
                    await member.dht.ping(one.contact, 3)
            await asyncio.sleep(300)
        assert len(member.dht.contacts()) == NODES - 6

    play(scene)
