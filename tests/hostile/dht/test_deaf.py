"""A node that heard nothing, or next to nothing, for twenty seconds has its contacts back within
fifteen."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from dhtstore.dht.core.newcomers.departed import Departed
from dhtstore.dht.core.peer import peer_of
from dhtstore.model.contact import Contact
from dhtstore.params import (
    DEAF_S,
    DEPARTED_ASK_EVERY_S,
    DEPARTED_ASK_FIRST_S,
    DEPARTED_AT_ONCE,
    DEPARTED_LOOK_S,
    DEPARTED_MANY,
    DEPARTED_MAX,
    DEPARTED_S,
    NODE_ID_BYTES,
)
from tests.hostile.dht.test_own_fault import hears
from tests.unit.dht.world import Member, World, play

DEAF_FOR_S, BACK_S = 20.0, 15.0
YOUNG_S, OLD_S = 0.0, 2 * DEAF_S
SEEDS = range(1, 1 + int(os.environ.get("DEAF_SEEDS", "1")))
SEARCHES = 3  # at a time, all the while


async def busy(world: World, member: Member, rng: random.Random) -> None:
    end_s = world.loop.time() + DEAF_FOR_S
    while (left_s := end_s - world.loop.time()) > 0:
        await member.dht.lookup(rng.randbytes(NODE_ID_BYTES), timeout_s=left_s)
        await asyncio.sleep(0.1)


async def deafen(world: World, member: Member, share: float, seed: int) -> None:
    rng = random.Random(seed)
    hears(member, lambda data: rng.random() < share)
    await asyncio.gather(*(busy(world, member, rng) for _ in range(SEARCHES)))
    hears(member, lambda data: True)


def missing(member: Member, before: set[Contact]) -> list[Contact]:
    """Those that are neither contacts nor wait for a place in a full bucket."""
    table, known = member.dht.rpc.table, set(member.dht.contacts())
    lacking = []
    for contact in before - known:
        peer = peer_of(contact)
        bucket = table.buckets[table.bucket_index(peer)]
        if bucket is None or len(bucket.peers) < table.ksize:
            lacking.append(contact)
    return lacking


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("share", "age_s"), [(0.0, YOUNG_S), (0.0, OLD_S), (0.05, YOUNG_S), (0.05, OLD_S), (0.5, OLD_S)]
)
def test_its_contacts_are_back_within_fifteen_seconds(
    share: float, age_s: float, seed: int
) -> None:
    """A young table, of nobody that stood the test of time, and an old one."""

    async def scene(world: World) -> None:
        member = (await world.grow(32))[7]
        await asyncio.sleep(age_s)
        await member.dht.lookup(member.contact.node, timeout_s=15)
        before = set(member.dht.contacts())
        await deafen(world, member, share, seed)
        left = len(before & set(member.dht.contacts()))
        assert share or left >= len(before) - 2, "nobody is blamed for a line that is dead"
        await asyncio.sleep(BACK_S)
        assert missing(member, before) == []
        assert len(member.dht.contacts()) >= len(before)

    play(scene, seed=seed)


def test_those_who_are_gone_for_good_are_asked_a_few_times() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        await asyncio.sleep(2 * DEAF_S)
        asker, dead = members[7], members[10:20]
        await asker.dht.lookup(asker.contact.node, timeout_s=15)
        for member in dead:
            world.net.crash(member.address)
        for _ in range(4):
            await asker.dht.lookup(dead[0].contact.node, timeout_s=15)
        before = asker.dht.rpc.channel.flow.packets_out
        await asyncio.sleep(2 * DEPARTED_S)
        times = 2 + DEPARTED_S / DEPARTED_ASK_EVERY_S
        assert asker.dht.rpc.channel.flow.packets_out - before < len(dead) * times + 20
        gone = {member.contact.node for member in dead}
        assert len(gone & {one.node for one in asker.dht.contacts()}) <= 2
        before = asker.dht.rpc.channel.flow.packets_out
        await asyncio.sleep(DEPARTED_S)
        assert asker.dht.rpc.channel.flow.packets_out - before < 10

    play(scene)


def test_one_that_goes_by_itself_is_not_asked_again() -> None:
    world, departed = World(), Departed()
    peers = [peer_of(world.add().contact) for _ in range(DEPARTED_MAX + 8)]
    for number, peer in enumerate(peers[: DEPARTED_MANY - 1]):
        departed.add(peer, float(number), believed=True)
    departed.add(peers[-1], 3.0, believed=False)
    assert not departed.many(20.0, left=40)
    assert departed.due(20.0, left=40, much_lost=True) == []
    assert departed.many(20.0, left=2)
    assert departed.due(20.0, left=2, much_lost=False) == []
    assert len(departed.due(20.0, left=2, much_lost=True)) == DEPARTED_MANY
    assert departed.many(21.0, left=40), "not only while few are left"
    assert departed.due(20.0 + DEPARTED_S, left=40, much_lost=True) == []
    assert not departed.many(20.0 + DEPARTED_S, left=2)
    assert len(departed) == 0


def test_a_node_rests_while_few_went() -> None:
    """It looked twice a second for a minute after each contact that went: half of what its loop
    did in a network that comes and goes."""

    async def scene(world: World) -> None:
        members = await world.grow(12)
        await asyncio.sleep(2 * DEAF_S)
        world.net.crash(members[3].address)
        for member in members[4:]:
            await member.dht.lookup(members[3].contact.node, timeout_s=15)
            await member.dht.lookup(members[3].contact.node, timeout_s=15)
        fired = world.loop.fired
        await asyncio.sleep(DEPARTED_S / 2)
        assert world.loop.fired - fired < len(members) * DEPARTED_S / 2 / DEPARTED_LOOK_S / 3

    play(scene)


def test_of_many_each_is_asked_in_its_time_and_few_at_once() -> None:
    world, departed = World(), Departed()
    peers = [peer_of(world.add().contact) for _ in range(DEPARTED_MAX + 8)]
    for peer in peers:
        departed.add(peer, 0.0, believed=True)
    departed.add(peers[0], 0.0, believed=False)
    assert len(departed) == DEPARTED_MAX, "newcomers push nobody out"
    assert departed.due(DEPARTED_ASK_FIRST_S - 0.1, left=40, much_lost=True) == []
    asked = [departed.due(DEPARTED_ASK_FIRST_S, left=40, much_lost=True) for _ in range(20)]
    assert [len(each) for each in asked[:8]] == [DEPARTED_AT_ONCE] * 8
    assert not any(asked[8:])
    assert {peer.id for each in asked for peer in each} == {peer.id for peer in peers[8:]}
    assert departed.back(peers[8])
    assert not departed.back(peers[8])
    assert not departed.back(peers[0])
