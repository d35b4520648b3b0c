"""Defects 17 to 22: what lookups found and how long they took, and what tables forgot."""

from __future__ import annotations

import asyncio
import statistics

import pytest
from kademlia.crawling import NodeSpiderCrawl
from kademlia.network import Server
from kademlia.node import Node
from kademlia.routing import RoutingTable

from dhtstore.dht.core.refresh import buckets_due
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import dht_key, distance
from dhtstore.params import BUCKET_REFRESH_INTERVAL_S, K
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FindNode
from tests.defects.conftest import OurPlay
from tests.defects.scenes import KEY, encode, living
from tests.defects.stock import StockPlay, StockWorld, nodes
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World

LOOKUPS = 10


def keys() -> list[bytes]:
    return [dht_key(b"%d" % number) for number in range(LOOKUPS)]


async def stock_lookup(server: Server, key: bytes) -> list[Node]:
    """As ``Server.set_digest`` looks up where to store."""
    node, router = Node(key), server.protocol.router
    near = router.find_neighbors(node)
    crawl = NodeSpiderCrawl(server.protocol, node, near, server.ksize, server.alpha)
    found: list[Node] = await crawl.find()
    return found


# --- 17 ------------------------------------------------------------------------------------------


def test_17_dead_peers_do_not_hold_up_a_lookup(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(40)
        for victim in members[1::5]:
            world.net.crash(victim.address)
        took: list[float] = []
        for key in keys():
            started_s = world.loop.time()
            await members[0].dht.lookup(key, timeout_s=15)
            took.append(world.loop.time() - started_s)
        assert statistics.mean(took) < 2.5, "virtual seconds"

    ours(scene)


def test_17_stock_waits_for_the_slowest_of_each_round(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(30)
        for victim in servers[1::5]:
            world.crash(victim)
        took: list[float] = []
        for key in keys()[:5]:
            started_s = world.loop.time()
            await stock_lookup(servers[0], key)
            took.append(world.loop.time() - started_s)
        assert max(took) >= 5
        assert statistics.mean(took) > 2.5

    stock(scene)


# --- 18 ------------------------------------------------------------------------------------------


def test_18_a_dead_node_is_never_in_a_result(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(32)
        for victim in members[1::4]:
            world.net.crash(victim.address)
        alive = [member.contact.node for member in members[1:] if world.net.is_open(member.address)]
        for key in keys():
            found = await members[0].dht.lookup(key, timeout_s=15)
            assert all(world.net.is_open(contact.address) for contact in found)
            nearest = sorted(alive, key=lambda node: distance(key, node))[:K]
            names = [contact.node for contact in found]
            assert names == sorted(names, key=lambda node: distance(key, node))
            assert len({*names} & {*nearest}) >= K - 1

    ours(scene)


def test_18_stock_returns_dead_nodes(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(30)
        dead = {victim.node.id for victim in servers[1::4]}
        for victim in servers[1::4]:
            world.crash(victim)
        found = [node for key in keys()[:5] for node in await stock_lookup(servers[0], key)]
        assert any(node.id in dead for node in found)

    stock(scene)


# --- 19 ------------------------------------------------------------------------------------------


def test_19_one_lost_packet_costs_neither_the_answer_nor_the_contact(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        lost: list[bytes] = []

        def first(source: Address, to: Address, data: bytes) -> bool:
            lost.append(data)
            return len(lost) == 1

        world.net.drops = first
        assert await member.dht.ping(other.contact, 3) > 0
        assert len(lost) >= 3
        assert other.contact in member.dht.contacts()

    ours(scene)


def test_19_nor_does_one_request_that_failed(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        world.net.drops = lambda source, to, data: True
        with pytest.raises(ConnectionLost):
            await member.dht.ping(other.contact, 9)
        assert other.contact in member.dht.contacts()
        world.net.drops = None
        assert await member.dht.ping(other.contact, 3) >= 0

    ours(scene)


def test_19_stock_forgets_whom_one_packet_did_not_reach(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server, other = await world.grow(2)
        chance = iter([True])
        world.drops = lambda source, to, data: next(chance, False)
        await server.protocol.call_ping(Node(other.node.id, *other.where))
        assert server.protocol.router.is_new_node(other.node)

    stock(scene)


# --- 20 ------------------------------------------------------------------------------------------


def in_order(member: Member, index: int) -> list[bytes]:
    """The ids of a bucket, the one that was silent the longest first."""
    bucket = member.dht.rpc.table.buckets[index]
    return [] if bucket is None else [peer.id for peer in bucket.peers]


def test_20_who_is_heard_moves_to_the_tail(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        await asyncio.sleep(60)
        by_node = {member.contact.node: member for member in members}
        head = in_order(members[0], 0)[0]
        await members[0].dht.ping(by_node[head].contact, 3)  # type: ignore[index]
        assert in_order(members[0], 0)[-1] == head

    ours(scene)


def test_20_who_moves_is_known_at_its_new_address(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        before = await Rogue(world, b"mover", "10.66.0.1").open()
        before.answer = living
        await member.dht.bootstrap([before.contact])
        await before.endpoint.close()
        after = await Rogue(world, b"mover", "10.66.9.1").open()
        after.answer = living
        after.request(member, encode(["ping"]))
        await asyncio.sleep(10)
        assert [each.address for each in member.dht.contacts()] == [after.contact.address]

    ours(scene)


def test_20_a_request_alone_moves_nobody(ours: OurPlay) -> None:
    """Its source is only claimed: who is there has to answer."""

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        honest = await Rogue(world, b"honest", "10.66.0.1").open()
        honest.answer = living
        await member.dht.bootstrap([honest.contact])
        spoofed = await Rogue(world, b"honest", "10.66.9.1").open()
        spoofed.request(member, encode(["ping"]))
        await asyncio.sleep(60)
        assert [each.address for each in member.dht.contacts()] == [honest.contact.address]

    ours(scene)


def test_20_stock_keeps_the_order_and_the_old_address(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        first, second = await world.bare(), await world.bare()
        for number, one in enumerate((first, second)):
            one.ask(server, "ping", bytes((number + 1,)) * 20)
            await asyncio.sleep(1)
        moved = await world.bare()
        moved.ask(server, "ping", b"\x01" * 20)
        await asyncio.sleep(1)
        (bucket,) = server.protocol.router.buckets
        assert [node.id[0] for node in bucket.get_nodes()] == [1, 2]
        assert bucket.head().port == first.where[1]

    stock(scene)


# --- 21 ------------------------------------------------------------------------------------------


def test_21_a_node_names_the_closest_it_knows_in_order(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        named = await Rogue(world).open()
        await asyncio.sleep(60)
        for key in keys():
            named.heard.clear()
            known = [contact.node for contact in members[0].dht.contacts()]
            named.request(members[0], encode(FindNode(key)), size_bytes=400)
            await asyncio.sleep(0.5)
            nearest = sorted(known, key=lambda node: distance(key, node))
            told = nodes_in(named)
            assert len(told) >= K
            assert told == nearest[: len(told)]

    ours(scene)


def answers_to(rogue: Rogue) -> list[datagram.FoundNodes]:
    """What it was told about FindNode."""
    opened = [envelope.parse(data) for data in rogue.heard]
    answers = [
        datagram.decode_response(FindNode(KEY), each.frame[datagram.FRAME_OVERHEAD_BYTES :])
        for each in opened
        if each is not None and each.frame[0] == datagram.RESPONSE
    ]
    return [each for each in answers if isinstance(each, datagram.FoundNodes)]


def nodes_in(rogue: Rogue) -> list[bytes]:
    """The ids that the only answer names."""
    (found,) = answers_to(rogue)
    packed = datagram.split_contacts(found.contacts, ipv6=False)
    return [datagram.unpack_contact(each).node for each in packed]


def test_21_stock_names_others_than_its_closest(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        router: RoutingTable = server.protocol.router
        for node in nodes(300, world.rng):
            router.add_contact(node)
        known = [node for bucket in router.buckets for node in bucket.get_nodes()]
        wrong = 0
        for _ in range(100):
            target = Node(world.rng.randbytes(20))
            nearest = sorted(known, key=target.distance_to)[:K]
            wrong += [node.id for node in router.find_neighbors(target)] != [n.id for n in nearest]
        assert wrong > 0
        bucket = router.buckets[0]
        edge = Node(bucket.range[1].to_bytes(20, "big"))
        assert bucket.has_in_range(edge)
        assert router.get_bucket_for(edge) != 0, "its last id is in the next bucket"

    stock(scene)


# --- 22 ------------------------------------------------------------------------------------------


def test_22_strangers_do_not_suppress_the_refresh(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, *_ = await world.grow(4)
        watcher = await Rogue(world).open()
        watcher.answer = living
        await member.dht.bootstrap([watcher.contact])
        stranger = await Rogue(world, b"stranger", "10.66.1.1").open()
        await asyncio.sleep(60)
        watcher.requests.clear()
        for _ in range(int(2 * BUCKET_REFRESH_INTERVAL_S / 300)):
            for key in keys():
                stranger.request(member, encode(FindNode(key)))
            await asyncio.sleep(300)
        asked = [type(request).__name__ for _, request in watcher.requests]
        assert "FindNode" in asked

    ours(scene)


def test_22_what_is_due_is_not_less_because_somebody_asked(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, *_ = await world.grow(K + 4)
        stranger = await Rogue(world, b"stranger", "10.66.1.1").open()
        later_s = member.clock.monotonic_s() + 2 * BUCKET_REFRESH_INTERVAL_S
        due = buckets_due(member.dht.rpc.table, later_s)
        for key in keys():
            stranger.request(member, encode(FindNode(key)))
        await asyncio.sleep(1)
        assert buckets_due(member.dht.rpc.table, later_s) == due
        assert due

    ours(scene)


def test_22_stock_refreshes_nothing_that_strangers_asked_about(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        stranger = await world.bare()
        stranger.ask(server, "find_node", stranger.node_id, b"\x01" * 20)
        await asyncio.sleep(3700)
        assert len(server.protocol.router.lonely_buckets()) == 1
        stranger.ask(server, "find_node", stranger.node_id, b"\x01" * 20)
        await asyncio.sleep(1)
        assert server.protocol.router.lonely_buckets() == []

    stock(scene)


def test_22_stock_arms_two_timers(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        first = server.refresh_loop
        server.refresh_table(interval=60)
        server.stop()
        assert not first.cancelled(), "it goes on after stop()"
        first.cancel()

    stock(scene)
