"""Tables fill at once and stay alive, at little cost."""

from __future__ import annotations

import asyncio
import random

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.refresh import buckets_due, random_id_in_bucket
from dhtstore.dht.engine.upkeep import Upkeep
from dhtstore.model.identity import NodeId, distance
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    MAINTENANCE_INTERVAL_S,
    PEER_FAILURES_MAX,
    K,
)
from tests.unit.dht.world import Member, World, play

LATE_S = BUCKET_REFRESH_INTERVAL_S + (PEER_FAILURES_MAX + 1) * 1.3 * MAINTENANCE_INTERVAL_S


def known(member: Member) -> set[bytes]:
    return {contact.node for contact in member.dht.contacts()}


def upkeep(member: Member, seed: int) -> Upkeep:
    rpc = member.dht.rpc
    return Upkeep(rpc.table, rpc.calls, member.clock, random.Random(seed))


def known_in(member: Member, index: int) -> list[Peer]:
    bucket = member.dht.rpc.table.buckets[index]
    return list(bucket.peers) if bucket else []


def test_who_joins_meets_its_neighbours_and_fills_its_far_buckets() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(80)
        last = members[-1]
        own = last.contact.node
        others = [member.contact.node for member in members[:-1]]
        nearest = sorted(others, key=lambda node: distance(own, node))[:K]
        assert known(last) >= set(nearest)
        router = last.dht.rpc.table
        far = [peer for peer in others if int.from_bytes(peer, "big") >> 159 != own[0] >> 7]
        assert len(far) > K
        assert router.room_in(0) == 0

    play(scene)


def test_who_stays_for_one_command_knows_its_neighbours_and_fills_nothing() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        client = world.add(ephemeral=True, storage=False)
        await client.dht.start()
        await client.dht.bootstrap([members[3].contact])
        assert world.net.machine(client.address).sent_datagrams < 2 * K
        key = bytes(range(20))
        found = await client.dht.lookup(key, timeout_s=15)
        nodes = [member.contact.node for member in members]
        assert found[0].node == min(nodes, key=lambda node: distance(NodeId(key), node))

    play(scene)


def test_a_bucket_is_filled_with_nodes_from_all_over_its_range() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        rpc = members[0].dht.rpc
        for peer in list(rpc.table):
            if rpc.table.bucket_index(peer) == 0:
                rpc.table.remove(peer)
        await upkeep(members[0], 1).fill(0)
        bucket = rpc.table.buckets[0]
        assert bucket is not None
        assert len(bucket) == K
        quarters = {peer.id[0] >> 5 & 3 for peer in bucket.peers}
        assert quarters == {0, 1, 2, 3}

    play(scene)


def test_a_bucket_is_filled_though_the_first_that_is_asked_is_silent() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        rpc = members[0].dht.rpc
        for peer in known_in(members[0], 0)[10:]:
            rpc.table.remove(peer)
        first = random_id_in_bucket(rpc.table.node.long_id, 0, random.Random(3).getrandbits(160))
        world.net.crash(rpc.table.closest(first, 1)[0].address)
        await upkeep(members[0], 3).fill(0)
        assert rpc.table.room_in(0) == 0

    play(scene)


def test_a_bucket_is_filled_from_several_answers_alike() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        rpc = members[0].dht.rpc
        for quarter in range(4):
            for peer in [p for p in known_in(members[0], 0) if p.id[0] >> 5 & 3 == quarter][1:]:
                rpc.table.remove(peer)
        await upkeep(members[0], 3).fill(0)
        quarters = [peer.id[0] >> 5 & 3 for peer in known_in(members[0], 0)]
        assert len(quarters) == K
        assert min(map(quarters.count, range(4))) > 1

    play(scene)


def test_neighbours_that_missed_each_other_meet_within_the_hour() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(60)
        me, own = members[0], members[0].contact.node
        near = sorted(members[1:], key=lambda member: distance(own, member.contact.node))[:K]
        for other in near:
            me.dht.rpc.table.remove(peer_of(other.contact))
            other.dht.rpc.table.remove(peer_of(me.contact))
        assert not known(me) & {other.contact.node for other in near}
        await asyncio.sleep(BUCKET_REFRESH_INTERVAL_S + 1.3 * MAINTENANCE_INTERVAL_S)
        assert known(me) >= {other.contact.node for other in near}

    play(scene)


def test_filling_an_empty_table_asks_nobody() -> None:
    async def scene(world: World) -> None:
        (alone,) = await world.grow(1)
        before = world.net.sent_datagrams
        await upkeep(alone, 1).fill(0)
        assert world.net.sent_datagrams == before

    play(scene)


def test_a_dead_entry_goes_though_nobody_looks_anything_up() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(10)
        dead = members[5]
        assert all(dead.contact.node in known(other) for other in members if other is not dead)
        world.net.crash(dead.address)
        await asyncio.sleep(LATE_S)
        assert not any(dead.contact.node in known(other) for other in members if other is not dead)

    play(scene)


def test_a_full_bucket_replaces_its_dead() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        for member in members[1:25]:
            world.net.crash(member.address)
        await asyncio.sleep(LATE_S)
        router = members[0].dht.rpc.table
        alive = {member.contact.node for member in members[25:]}
        assert known(members[0]) <= alive
        in_half = sum(node[0] >> 7 != members[0].contact.node[0] >> 7 for node in alive)
        assert in_half > K
        assert router.room_in(0) == 0

    play(scene)


def test_a_bucket_that_lost_an_entry_does_not_wait_for_its_hour() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        rpc = members[0].dht.rpc
        bucket = rpc.table.buckets[0]
        assert bucket is not None
        bucket.replacements.clear()
        gone = bucket.peers[0]
        for _ in range(PEER_FAILURES_MAX):
            rpc.table.failed(gone, world.loop.time())
        assert rpc.table.room_in(0) == 1
        await asyncio.sleep(1.2 * MAINTENANCE_INTERVAL_S + 60)
        assert rpc.table.room_in(0) == 0

    play(scene)


def test_parts_of_a_network_that_forgot_each_other_meet_again() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        one, other = members[:15], members[15:]
        world.net.partition([[m.address for m in one], [m.address for m in other]])
        await asyncio.sleep(3 * BUCKET_REFRESH_INTERVAL_S)
        beyond = {member.contact.node for member in other}
        assert not any(known(member) & beyond for member in one)
        world.net.heal()
        await asyncio.sleep(2 * BUCKET_REFRESH_INTERVAL_S)
        assert all(known(member) & beyond for member in one)

    play(scene)


def test_a_bucket_that_nobody_answered_about_is_asked_about_in_the_next_round() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(100)
        rpc = members[0].dht.rpc
        assert rpc.table.buckets[0] is not None
        rpc.table.buckets[0].replacements.clear()
        for _ in range(PEER_FAILURES_MAX):
            rpc.table.failed(rpc.table.buckets[0].peers[0], world.loop.time())
        world.net.partition([[members[0].address]])
        await upkeep(members[0], 1).fill(0)
        world.net.heal()
        assert 0 in buckets_due(rpc.table, world.loop.time())
        await upkeep(members[0], 1).fill(0)
        assert rpc.table.room_in(0) == 0
        assert 0 not in buckets_due(rpc.table, world.loop.time())

    play(scene)


def test_an_idle_hour_costs_each_node_a_ping_of_each_entry_and_a_lookup() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(40)
        await asyncio.sleep(BUCKET_REFRESH_INTERVAL_S)
        before = world.net.sent_datagrams
        await asyncio.sleep(2 * BUCKET_REFRESH_INTERVAL_S)
        entries = sum(len(known(member)) for member in members)
        requests_an_hour = (world.net.sent_datagrams - before) / 2 / 2
        assert entries / 2 < requests_an_hour < entries + 2 * K * len(members)

    play(scene)
