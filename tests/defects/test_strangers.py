"""Defects 6 to 10: what strangers could store, ask for, pretend and answer."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest
from kademlia.node import Node
from kademlia.utils import digest

from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.core.stores import provider_store
from dhtstore.errors import ConnectionLost, Unreachable
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import dht_key
from dhtstore.model.signing import attach
from dhtstore.params import AMPLIFICATION_MAX, DATAGRAM_MAX_BYTES, PROVIDERS_PER_KEY_MAX
from dhtstore.wire import datagram
from dhtstore.wire.datagram import FindNode, FoundNodes, GetProviders, Provided, Providers
from tests.defects.conftest import OurPlay
from tests.defects.scenes import KEY, PONG, answering, encode, living, one_and_rogue, steps_of
from tests.defects.stock import StockPlay, StockWorld, nodes
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World

# --- 6 -------------------------------------------------------------------------------------------


def stores(member: Member, key: bytes = KEY, size_bytes: int = 0) -> bytes:
    """The payload of a request to keep what ``member`` provides."""
    record, contact = member.provider_record(dht_key(key)), member.contact_record()
    return encode(["add_provider", record.packed + bytes(size_bytes), contact.packed])


def test_6_a_value_that_its_provider_has_not_signed_is_not_kept(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        holder, provider = await world.grow(2)
        rogue = await Rogue(world).open()
        record, contact = provider.provider_record(KEY), provider.contact_record()
        forged = msgspec.structs.replace(record, sequence=9)
        signed_otherwise = attach(forged, record.signature).packed
        for packed in (b"", b"any value", signed_otherwise, record.packed[:-1]):
            rogue.request(holder, encode(["add_provider", packed, contact.packed]))
        rogue.request(holder, encode(["store", KEY, b"any value"]))
        await asyncio.sleep(1)
        assert holder.dht.records_held == 0
        rogue.request(holder, encode(["add_provider", record.packed, contact.packed]))
        await asyncio.sleep(1)
        assert holder.dht.records_held == 1, "whoever brings it, it is its provider's word"

    ours(scene)


@pytest.mark.parametrize("size_bytes", [300, 8192], ids=str)
def test_6_a_value_is_small(ours: OurPlay, size_bytes: int) -> None:
    async def scene(world: World) -> None:
        holder, provider = await world.grow(2)
        rogue = await Rogue(world).open()
        sent = rogue.request(holder, stores(provider, size_bytes=size_bytes))
        await asyncio.sleep(1)
        assert holder.dht.records_held == 0
        assert holder.dht.counters.get("malformed", 0) == int(sent <= DATAGRAM_MAX_BYTES)

    ours(scene)


def test_6_a_key_and_a_node_keep_so_many_and_no_more(
    ours: OurPlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = PROVIDERS_PER_KEY_MAX + 20
    monkeypatch.setattr(provider_store, "PROVIDER_RECORDS_MAX", most)

    async def scene(world: World) -> None:
        (holder,) = await world.grow(1)
        rogue = await Rogue(world).open()
        others = [world.add() for _ in range(PROVIDERS_PER_KEY_MAX + 10)]
        for other in others:
            await other.dht.start()
            rogue.request(holder, stores(other))
            await asyncio.sleep(0.1)
        assert holder.dht.records_held <= PROVIDERS_PER_KEY_MAX
        for number in range(most):
            rogue.request(holder, stores(others[0], b"%d" % number))
            await asyncio.sleep(0.1)
        assert most // 4 < holder.dht.records_held <= most

    ours(scene)


def test_6_stock_keeps_whatever_anybody_brings(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare()
        for number in range(200):
            rogue.ask(server, "store", b"\x01" * 20, digest(number), bytes(8192))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert len(server.storage.data) == 200

    stock(scene)


# --- 7 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 200, 400])
def test_7_an_unproved_address_gets_at_most_three_times_what_it_sent(
    ours: OurPlay, size_bytes: int
) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(24)
        await members[1].provide(KEY)
        holder = next(m for m in members if m.dht.records_held)
        rogue = await Rogue(world).open()
        for request in (FindNode(KEY), GetProviders(KEY, 0)):
            rogue.heard.clear()
            sent = rogue.request(holder, encode(request), size_bytes=size_bytes)
            await asyncio.sleep(2)
            got = sum(map(len, rogue.heard))
            assert 0 < got <= AMPLIFICATION_MAX * sent

    ours(scene)


def test_7_a_newcomer_is_sent_nothing_of_what_is_kept(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        holder, provider = await world.grow(2)
        for number in range(50):
            await provider.provide(dht_key(b"%d" % number))
        newcomer = await Rogue(world).open()
        newcomer.answer = living
        sent = newcomer.request(holder, encode(["ping"]))
        await asyncio.sleep(60)
        assert newcomer.contact.node in {each.node for each in holder.dht.contacts()}
        assert Counter(type(request).__name__ for _, request in newcomer.requests) == {"Ping": 1}
        assert sum(map(len, newcomer.heard)) <= AMPLIFICATION_MAX * sent

    ours(scene)


def test_7_stock_answers_tenfold_and_sends_a_newcomer_all_it_has(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        for node in nodes(40, world.rng):
            server.protocol.router.add_contact(node)
        rogue = await world.bare()
        sent = rogue.ask(server, "find_node", b"\x01" * 20, b"\x02" * 20)
        await asyncio.sleep(1)
        assert sum(map(len, rogue.heard)) > 2 * AMPLIFICATION_MAX * sent
        empty = await world.server()
        for number in range(50):
            empty.storage[digest(number)] = bytes(1000)
        rogue.heard.clear()
        sent = rogue.ask(empty, "ping", b"\x01" * 20)
        await asyncio.sleep(1)
        assert sum(map(len, rogue.heard)) > 500 * sent

    stock(scene)


# --- 8 -------------------------------------------------------------------------------------------


def test_8_a_datagram_costs_the_same_however_much_is_kept(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        holder, provider = await world.grow(2)
        rogue = await Rogue(world).open()
        stranger = iter(range(100))

        async def asks() -> None:
            rogue.crypto = world.make_crypto(b"stranger %d" % next(stranger), b"")
            for payload in (encode(["ping"]), encode(FindNode(KEY))):
                rogue.request(holder, payload)
            await asyncio.sleep(0.5)

        async def dearest() -> int:
            """Of four, since one of four newcomers is asked back soon."""
            return max([await steps_of(asks) for _ in range(4)])

        await asks()
        steps = await dearest()
        for number in range(300):
            await provider.provide(dht_key(b"%d" % number))
        assert holder.dht.records_held == 300
        assert await dearest() <= steps + 150, "not one step for each record"

    ours(scene)


def test_8_stock_looks_at_all_it_has(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        for node in nodes(40, world.rng):
            server.protocol.router.add_contact(node)
        rogue = await world.bare()

        async def asks() -> None:
            rogue.ask(server, "ping", world.rng.randbytes(20))
            await asyncio.sleep(0.5)

        steps = await steps_of(asks)
        for number in range(300):
            server.storage[digest(number)] = b"value"
        assert await steps_of(asks) > steps + 300 * 20

    stock(scene)


# --- 9 -------------------------------------------------------------------------------------------


def test_9_an_answer_counts_only_from_the_address_and_key_asked(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        silent = await Rogue(world, b"silent", "10.66.0.1").open()
        thief = await Rogue(world, b"thief", "10.66.0.2").open()
        same_key = await Rogue(world, b"silent", "10.66.0.3").open()
        asking = asyncio.create_task(member.dht.ping(silent.contact, 2))
        await asyncio.sleep(0.5)
        message_id = silent.requests[0][0]
        frame = b"\x01" + message_id + PONG
        for liar in (thief, same_key):
            liar.endpoint.send(liar.seal(member.contact.public_key, frame), member.address)
        with pytest.raises(ConnectionLost):
            await asking
        assert member.dht.counters["unasked"] == 2
        assert member.dht.contacts() == []

    ours(scene)


def test_9_a_forged_mac_changes_nothing(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        data = bytearray(rogue.seal(member.contact.public_key, b"\x00" + b"m" * 20 + b"\x91"))
        data[-1] ^= 1
        rogue.endpoint.send(bytes(data), member.address)
        await asyncio.sleep(1)
        assert member.dht.counters == {"forged": 1}
        assert rogue.heard == []

    ours(scene)


def test_9_a_lie_about_where_a_node_is_does_not_evict_it(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, victim = await world.grow(2)
        await asyncio.sleep(2)
        nowhere = Address(victim.address.host, victim.address.port ^ 1)
        moved = peer_of(Contact.of(victim.contact.public_key, nowhere))
        lie = answering(FoundNodes(moved.packed))
        rogue = await Rogue(world).open()
        rogue.answer = lie
        await member.dht.bootstrap([rogue.contact])
        for _ in range(6):
            await member.dht.rpc.calls.call(rogue.peer, FindNode(KEY))
            with pytest.raises(ConnectionLost):
                await member.dht.rpc.calls.ping(moved)
        assert victim.contact in member.dht.contacts()

    ours(scene)


def test_9_stock_takes_ids_and_answers_from_whomever_and_evicts_by_a_lie(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server, victim = await world.grow(2)
        thief = await world.bare()
        asked = server.protocol.ping((victim.where[0], 9), server.node.id)
        (message_id,) = server.protocol._outstanding
        thief.send(server, b"\x01" + message_id + encode(b"\x01" * 20))
        assert await asked == (True, b"\x01" * 20), "of another address than was asked"
        assert not server.protocol.router.is_new_node(victim.node)
        lie = Node(victim.node.id, "127.0.0.1", 9)
        await server.protocol.call_ping(lie)
        assert server.protocol.router.is_new_node(victim.node), "a good contact is gone"

    stock(scene)


# --- 10 ------------------------------------------------------------------------------------------

MALFORMED: list[object] = [
    {"x": 1},
    [],
    None,
    7,
    [[]],
    ["not bytes"],
    [b"x" * 38],
    [b"x" * datagram.CONTACT_V6_BYTES],
    [0, [], b"x"],
    [65, [], b""],
    [1, [[1, 2]], b""],
    [1, [[b"", None]], b""],
]


@pytest.mark.parametrize("answer", MALFORMED, ids=[str(i) for i in range(len(MALFORMED))])
def test_10_a_malformed_answer_is_a_failure_of_that_peer_only(
    ours: OurPlay, answer: object
) -> None:
    async def scene(world: World) -> None:
        member, rogue = await one_and_rogue(world, answer)
        assert await member.dht.lookup(KEY, timeout_s=9) == []
        with pytest.raises(Unreachable, match="none of 1 known nodes answered"):
            await member.dht.find_providers(KEY, wanted=1, timeout_s=9)
        with pytest.raises(Unreachable, match="none of 1 known nodes answered"):
            await member.dht.find_contact(member.contact.node, timeout_s=9)
        asked = [type(request).__name__ for _, request in rogue.requests]
        assert asked[-3:] == ["FindNode", "GetProviders", "FindContact"]
        assert member.dht.rpc.calls.in_flight == 0

    ours(scene)


def test_10_records_of_another_key_unsigned_or_twice_are_not_believed(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, rogue = await one_and_rogue(world, None)
        good, other = member.provider_record(KEY), member.provider_record(dht_key(b"other"))
        unsigned = attach(msgspec.structs.replace(good, sequence=2), good.signature)
        packed = [record.packed for record in (other, unsigned, good, good)]
        pairs = [Provided(each) for each in (b"?" * 65, *packed)]
        rogue.answer = answering(Providers(len(pairs), pairs, b""))
        found = await member.dht.find_providers(KEY, wanted=9, timeout_s=9)
        assert [p.record for p in found.providers] == [good]

    ours(scene)


STOCK_RAISES: list[tuple[object, type[Exception]]] = [
    ({"x": 1}, KeyError),
    ({"value": []}, TypeError),
    ([[b"\x01" * 20, "1.2.3.4", 5, 6, 7]], TypeError),
    (7, TypeError),
]


@pytest.mark.parametrize(("answer", "raised"), STOCK_RAISES, ids=["0", "1", "2", "3"])
def test_10_stock_raises_into_the_application(
    stock: StockPlay, answer: object, raised: type[Exception]
) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare(lambda asked: [] if asked[0] == "find_node" else answer)
        await server.bootstrap([rogue.where])
        with pytest.raises(raised):
            await server.get("key")

    stock(scene)
