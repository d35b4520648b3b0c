"""Defects 11 to 16: what became of a value once it was stored."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from kademlia.network import Server
from kademlia.node import Node
from kademlia.utils import digest

from dhtstore.errors import Unreachable
from dhtstore.model.contact import Address
from tests.defects.conftest import OurPlay
from tests.defects.scenes import KEY, encode, living
from tests.defects.stock import StockPlay, StockWorld
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import HOUR_S, Member, World


async def named(member: Member) -> dict[bytes, int]:
    """Who provides KEY, and by the record of which number."""
    found = await member.dht.find_providers(KEY, wanted=9, timeout_s=15)
    return {each.record.public_key: each.record.sequence for each in found.providers}


def near(key: bytes, distance: int) -> bytes:
    """An id that far from a key."""
    return (int.from_bytes(key, "big") ^ distance).to_bytes(20, "big")


def held_of(member: Member) -> list[int]:
    member.dht.rpc.keeper.tick()
    return [record.sequence for record in member.dht.rpc.keeper.providers(KEY)]


# --- 11 ------------------------------------------------------------------------------------------


def test_11_many_provide_one_key_and_nobody_overwrites_another(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        first, second, reader = await world.grow(3)
        await first.provide(KEY, sequence=5)
        await second.provide(KEY, sequence=1)
        everybody = {first.public_key: 5, second.public_key: 1}
        assert await named(reader) == everybody
        stale = (first.provider_record(KEY, sequence=4), first.contact_record())
        await second.dht.provide(KEY, [stale], timeout_s=15)
        assert await named(reader) == everybody

    ours(scene)


def test_11_readers_spread_nothing(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        reader, provider = await world.grow(2)
        await provider.provide(KEY)
        without = await Rogue(world).open()
        without.answer = living
        await reader.dht.bootstrap([without.contact])
        without.requests.clear()
        assert await named(reader) == {provider.public_key: 1}
        await asyncio.sleep(60)
        assert "AddProvider" not in {type(asked).__name__ for _, asked in without.requests}

    ours(scene)


def test_11_stock_lets_the_last_writer_win_and_readers_spread_it(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        first, second, _ = await world.grow(3)
        await first.set("key", "of the first")
        await second.set("key", "of a stranger")
        assert await first.get("key") == "of a stranger"
        without = await world.bare(lambda asked: [])
        without.node_id = near(digest("key"), 1)
        reader = await world.server()
        await reader.bootstrap([without.where, first.where])
        reader.storage.data.clear()
        assert await reader.get("key") == "of a stranger"
        assert "store" in [asked[0] for asked in without.asked], "a reader stores what it read"

    stock(scene)


# --- 12 ------------------------------------------------------------------------------------------


def cut_off(world: World, address: Address) -> None:
    world.net.drops = lambda source, to, data: address in (source, to)


def test_12_an_old_record_does_not_come_back_after_a_partition(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        provider, lonely, reader = members[1:4]
        await provider.provide(KEY, sequence=1)
        cut_off(world, lonely.address)
        assert await provider.provide(KEY, sequence=2) == 7
        world.net.drops = None
        assert held_of(lonely) == [1]
        await asyncio.sleep(0.6 * HOUR_S)
        assert await named(reader) == {provider.public_key: 2}
        others = [member for member in members if member is not lonely]
        assert [held_of(member) for member in others] == [[2]] * 7
        old = (provider.provider_record(KEY, sequence=1), provider.contact_record())
        await lonely.dht.provide(KEY, [old], timeout_s=15)
        assert [held_of(member) for member in others] == [[2]] * 7, "nor when it is replayed"

    ours(scene)


def test_12_a_withdrawn_record_does_not_come_back_either(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        provider, reader = members[1:3]
        await provider.provide(KEY)
        old = (provider.provider_record(KEY, sequence=1), provider.contact_record())
        assert (await provider.dht.withdraw(KEY)).holders == 6
        await reader.dht.provide(KEY, [old], timeout_s=15)
        assert await named(reader) == {}

    ours(scene)


def test_12_stock_has_the_old_value_everywhere_again(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(6)
        await servers[1].set("key", "old")
        lonely = servers[2]
        world.drops = lambda source, to, data: lonely.where in (source, to)
        await servers[1].set("key", "new")
        world.drops = lambda source, to, data: False
        # It comes back when the others know it again, and is the first to store all it has.
        await lonely.bootstrap([servers[0].where])
        await lonely.set_digest(digest("key"), lonely.storage.get(digest("key")))
        assert {server.storage.get(digest("key")) for server in servers} == {"old"}

    stock(scene)


# --- 13 ------------------------------------------------------------------------------------------


def test_13_a_record_ends_with_its_time_whoever_keeps_it(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        provider, reader = members[1:3]
        assert await provider.provide(KEY, lifetime_s=3 * HOUR_S) == 6
        await asyncio.sleep(2.9 * HOUR_S)
        assert await named(reader) == {provider.public_key: 1}
        await asyncio.sleep(0.2 * HOUR_S)
        assert await named(reader) == {}
        assert [held_of(member) for member in members] == [[]] * 6

    ours(scene)


def test_13_nobody_prolongs_the_record_of_another(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        provider, other = await world.grow(2)
        pair = (provider.provider_record(KEY, lifetime_s=HOUR_S), provider.contact_record())
        await provider.dht.provide(KEY, [pair], timeout_s=15)
        await asyncio.sleep(0.9 * HOUR_S)
        await other.dht.provide(KEY, [pair], timeout_s=15)
        await asyncio.sleep(0.2 * HOUR_S)
        assert [held_of(member) for member in (provider, other)] == [[], []]

    ours(scene)


def test_13_stock_keeps_a_value_for_ever(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(5)
        for server in servers:
            server.storage.ttl = 3 * HOUR_S
        await servers[1].set("key", "value")
        world.crash(servers[1])
        await asyncio.sleep(9 * HOUR_S)
        held = [server.storage.get(digest("key")) for server in servers if server is not servers[1]]
        assert held.count("value") >= 3

    stock(scene)


# --- 14 ------------------------------------------------------------------------------------------


def test_14_a_new_node_is_given_what_it_should_keep_by_the_provider_alone(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        provider = members[1]
        assert await provider.provide(KEY) == 4
        newcomer, *_ = await world.grow(1)
        await asyncio.sleep(60)
        assert newcomer.dht.records_held == 0, "holders hand on nothing"
        assert await provider.provide(KEY, sequence=2) == 5
        assert held_of(newcomer) == [2]

    ours(scene)


def test_14_stock_hands_on_by_another_key(stock: StockPlay) -> None:
    """The key that a newcomer is judged by is the hash of the key that it is stored under."""

    async def scene(world: StockWorld) -> None:
        server = await world.server(node_id=digest(digest("key")))
        server.storage[digest("key")] = "value"
        for number in range(16, 20):
            neighbour = Node(near(server.node.id, number), "127.0.0.1", 9)
            server.protocol.router.add_contact(neighbour)
        right, wrong = await world.bare(), await world.bare()
        right.ask(server, "ping", digest("key"))
        await asyncio.sleep(1)
        wrong.ask(server, "ping", near(server.node.id, 1))
        await asyncio.sleep(1)
        assert "store" not in [asked[0] for asked in right.asked]
        assert "store" in [asked[0] for asked in wrong.asked]

    stock(scene)


# --- 15 ------------------------------------------------------------------------------------------


def test_15_provide_counts_the_nodes_that_acknowledged(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        await asyncio.sleep(5)
        for victim in members[6:]:
            world.net.crash(victim.address)
        assert await members[0].provide(KEY) == 6
        assert sum(m.dht.records_held for m in members[:6]) == 6

    ours(scene)


def test_15_with_nobody_left_provide_says_so(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        world.net.crash(other.address)
        with pytest.raises(Unreachable, match="none of 1 known nodes answered"):
            await member.provide(KEY)

    ours(scene)


def test_15_stock_says_true_of_one_copy_and_raises_without_anybody(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(4)
        for deaf in servers[2:]:
            deaf.protocol.rpc_store = _refuses
        assert await servers[0].set("key", "value")
        assert sum(digest("key") in server.storage.data for server in servers[1:]) == 1
        for server in servers[1:]:
            world.crash(server)
        with pytest.raises(ValueError, match="max"):
            await servers[0].set("key", "value")

    stock(scene)


def _refuses(*request: object) -> None:
    raise MemoryError


# --- 16 ------------------------------------------------------------------------------------------


def test_16_holders_store_nothing_again_and_an_idle_hour_is_quiet(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        watcher = await Rogue(world).open()
        watcher.answer = living
        for member in members:
            await member.dht.bootstrap([watcher.contact])
        await members[1].provide(KEY, lifetime_s=40 * HOUR_S)
        await asyncio.sleep(HOUR_S)
        watcher.requests.clear()
        hours = 10
        await asyncio.sleep(hours * HOUR_S)
        asked = Counter(type(request).__name__ for _, request in watcher.requests)
        assert not asked.keys() & {"AddProvider", "StoreContact"}
        assert asked.total() <= 6 * hours * len(members), asked

    ours(scene)


def test_16_stock_stores_again_at_every_holder_each_hour(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        servers = await world.grow(8)
        await servers[1].set("key", "value")
        stored = [_counted(server) for server in servers]
        await asyncio.sleep(2.2 * HOUR_S)
        assert sum(map(len, stored)) >= 2 * len(servers)

    stock(scene)


def _counted(server: Server) -> list[object]:
    """The keys that it is asked to store from now on."""
    stored: list[object] = []
    real = server.protocol.rpc_store

    def rpc_store(sender: object, node_id: bytes, key: bytes, value: object) -> object:
        stored.append(key)
        return real(sender, node_id, key, value)

    server.protocol.rpc_store = rpc_store
    return stored


def test_16_a_watcher_would_see_a_record_that_is_stored_again(ours: OurPlay) -> None:
    """What is not seen above could be seen."""

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        watcher = await Rogue(world).open()
        watcher.answer = lambda request: living(request) or encode(["kept"])
        await member.dht.bootstrap([watcher.contact])
        await member.provide(KEY)
        assert "AddProvider" in {type(request).__name__ for _, request in watcher.requests}

    ours(scene)
