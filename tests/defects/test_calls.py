"""Defects 23 to 26: what a call left behind, how long it waited, what it cost and where it went."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace

import pytest
import rpcudp.protocol
from kademlia.node import Node
from kademlia.protocol import KademliaProtocol

from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.engine.crawl import RequestBatch
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.net.udp import UdpEndpoint
from dhtstore.params import RPC_IN_FLIGHT_MAX
from dhtstore.tasks import Supervisor
from dhtstore.wire.datagram import FindNode, Ping, split_contacts
from tests.defects.conftest import OurPlay
from tests.defects.leaping import LeapingLoop
from tests.defects.loopback import ipv6_loopback, run_leaping
from tests.defects.scenes import KEY, encode, living
from tests.defects.stock import StockPlay, StockWorld
from tests.defects.test_lookups import answers_to
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World

# --- 23 ------------------------------------------------------------------------------------------


def test_23_cancelled_calls_leave_nothing(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        calls = [asyncio.create_task(member.dht.ping(rogue.contact, 60)) for _ in range(50)]
        await asyncio.sleep(0)
        assert member.dht.rpc.calls.in_flight == 50
        for call in calls:
            call.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(call.cancelled() for call in calls)
        assert member.dht.rpc.calls.in_flight == 0

    ours(scene)


def test_23_a_deadline_leaves_nothing_either(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        with pytest.raises(ConnectionLost):
            await member.dht.ping(rogue.contact, 0.01)
        assert member.dht.rpc.calls.in_flight == 0
        batch = RequestBatch(member.dht.rpc.calls, [(rogue.peer, Ping())] * 5)
        await batch.run()
        assert batch.answers == [None] * 5
        assert member.dht.rpc.calls.in_flight == 0

    ours(scene)


def test_23_an_answer_to_a_cancelled_call_is_nobodys(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        call = asyncio.create_task(member.dht.ping(other.contact, 60))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(5)
        assert member.dht.rpc.calls.in_flight == 0
        assert member.dht.counters.get("unasked", 0) <= 1
        assert await member.dht.ping(other.contact, 3) >= 0

    ours(scene)


def test_23_stock_leaks_a_cancelled_call(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        silent = await world.bare(lambda asked: None)
        for _ in range(20):
            call = server.protocol.find_node(silent.where, server.node.id, server.node.id)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.1)
        await asyncio.sleep(30)
        assert len(server.protocol._outstanding) == 20

    stock(scene)


# --- 24 ------------------------------------------------------------------------------------------


async def seconds_to_give_up(world: World, member: Member, contact: Contact) -> float:
    began_s: float = world.loop.time()
    with pytest.raises(ConnectionLost):
        await member.dht.rpc.calls.ping(peer_of(contact))
    return world.loop.time() - began_s


def test_24_a_dead_peer_is_waited_for_by_what_others_take(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        for member in members[1:]:
            await members[0].dht.lookup(member.contact.node, timeout_s=15)
        dead = await Rogue(world).open()
        assert await seconds_to_give_up(world, members[0], dead.contact) < 2.5
        world.net.crash(members[1].address)
        assert await seconds_to_give_up(world, members[0], members[1].contact) < 2.5

    ours(scene)


def test_24_a_request_is_repeated_once_under_its_id(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        silent = await Rogue(world).open()
        await seconds_to_give_up(world, member, silent.contact)
        ids = [message_id for message_id, _ in silent.requests]
        assert len(ids) == 2
        assert len({*ids}) == 1

    ours(scene)


def test_24_so_many_requests_are_in_flight_and_no_more(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        hosts = [Address(f"127.9.{n // 250}.{n % 250 + 1}", 9) for n in range(2500)]
        ended: list[object] = []
        for number, host in enumerate(hosts):
            nobody = Contact.of(PublicKey(number.to_bytes(32, "big")), host)
            member.dht.rpc.calls.ask(peer_of(nobody), Ping(), lambda *end: ended.append(end))
        assert member.dht.rpc.calls.in_flight <= RPC_IN_FLIGHT_MAX
        await asyncio.sleep(10)
        assert len(ended) == len(hosts), "each is told of its end, once"

    ours(scene)


def test_24_closing_ends_every_call(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        silent = await Rogue(world).open()
        call = asyncio.create_task(member.dht.ping(silent.contact, 60))
        await asyncio.sleep(0.01)
        began_s = world.loop.time()
        await member.dht.stop()
        with pytest.raises(ConnectionLost):
            await call
        assert world.loop.time() - began_s < 0.1

    ours(scene)


def test_24_stock_waits_5_s_repeats_nothing_and_leaves_calls_when_it_stops(
    stock: StockPlay,
) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        silent = await world.bare(lambda asked: None)
        began_s = world.loop.time()
        assert await server.protocol.find_node(silent.where, b"", b"") == (False, None)
        assert world.loop.time() - began_s >= 5
        assert len(silent.heard) == 1
        call = server.protocol.find_node(silent.where, b"", b"")
        server.stop()
        await asyncio.sleep(1)
        assert not call.done()

    stock(scene)


# --- 25 ------------------------------------------------------------------------------------------


def test_25_nothing_is_encoded_for_a_log_that_is_off(
    ours: OurPlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = _encodings(monkeypatch)

    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        for _ in range(5):
            await member.dht.ping(other.contact, 3)
        await member.dht.lookup(KEY, timeout_s=9)
        assert encoded == []

    ours(scene)


def test_25_stock_encodes_each_message(stock: StockPlay, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = _encodings(monkeypatch)

    async def scene(world: StockWorld) -> None:
        server, other = await world.grow(2)
        encoded.clear()
        await server.protocol.ping(other.where, server.node.id)
        assert len(encoded) == 3

    stock(scene)


def _encodings(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    encoded: list[bytes] = []

    def noted(data: bytes) -> bytes:
        encoded.append(data)
        return base64.b64encode(data)

    monkeypatch.setattr(rpcudp.protocol, "b64encode", noted)
    return encoded


# --- 26 ------------------------------------------------------------------------------------------


def test_26_nothing_is_sent_to_the_other_family_and_nobody_waits_for_it(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        elsewhere = Contact.of(PublicKey(b"k" * 32), Address("2001:db8::1", 7400))
        assert not member.endpoint.send(b"x", elsewhere.address)
        assert await seconds_to_give_up(world, member, elsewhere) < 0.1

    ours(scene)


def test_26_who_asks_over_ipv4_is_told_of_ipv4_only(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        for number in range(8):
            where = Address(f"2001:db8:{number:x}::1", 7400)
            other = Contact.of(PublicKey(bytes((number + 1,)) * 32), where)
            members[0].dht.rpc.table.answered(peer_of(other), members[0].clock.monotonic_s())
        rogue = await Rogue(world).open()
        rogue.request(members[0], encode(FindNode(KEY)), size_bytes=400)
        await asyncio.sleep(1)
        (found,) = answers_to(rogue)
        assert len(split_contacts(found.contacts, ipv6=False)) == 5
        assert len(members[0].dht.contacts()) >= 13

    ours(scene)


def test_26_who_asks_is_known_as_it_asked(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        rogue.answer = living
        rogue.request(member, encode(["ping"]))
        await asyncio.sleep(10)
        (contact,) = member.dht.contacts()
        assert contact.address == rogue.contact.address
        assert "::ffff:" not in contact.address.host

    ours(scene)


@pytest.mark.skipif(not ipv6_loopback(), reason="this machine has no IPv6")
def test_26_a_socket_of_both_families_tells_and_takes_ipv4_as_ipv4() -> None:
    """The simulated endpoint is of one family."""
    loop = LeapingLoop()

    async def scene() -> None:
        duties, heard = Supervisor(), asyncio.Queue[tuple[bytes, Address]]()
        both, four = UdpEndpoint("::", 0), UdpEndpoint("127.0.0.1", 0)
        for endpoint in (both, four):
            await endpoint.open(lambda *what: heard.put_nowait(what), duties)
        four.send(b"to both", Address("127.0.0.1", both.local.port))
        assert await heard.get() == (b"to both", four.local)
        assert both.send(b"back", four.local)
        assert await heard.get() == (b"back", Address("127.0.0.1", both.local.port))
        for endpoint in (both, four):
            await endpoint.close()
        await duties.close()

    run_leaping(scene(), loop)


@pytest.mark.skipif(not ipv6_loopback(), reason="this machine has no IPv6")
def test_26_stock_stores_ipv4_as_ipv6_and_waits_for_the_other_family() -> None:
    loop = LeapingLoop()

    async def scene() -> None:
        protocol = KademliaProtocol(Node(b"\x01" * 20), {}, 20)
        transport, _ = await loop.create_datagram_endpoint(lambda: protocol, local_addr=("::", 0))
        port = transport.get_extra_info("sockname")[1]
        asker = KademliaProtocol(Node(b"\x02" * 20), {}, 20)
        four, _ = await loop.create_datagram_endpoint(lambda: asker, local_addr=("127.0.0.1", 0))
        assert (await asker.ping(("127.0.0.1", port), asker.source_node.id))[0]
        (bucket,) = protocol.router.buckets
        assert bucket.head().ip == "::ffff:127.0.0.1"
        began_s = loop.time()
        assert await asker.ping(("::1", port, 0, 0), b"") == (False, None)
        assert loop.time() - began_s >= 5
        for each in (transport, four):
            each.close()
        await asyncio.sleep(0)

    run_leaping(scene(), loop, strict=False)


def test_26_stock_in_memory_takes_any_spelling() -> None:
    """The same without a socket: an address is stored as it came."""
    protocol = KademliaProtocol(Node(b"\x01" * 20), {}, 20)
    protocol.connection_made(SimpleNamespace(sendto=lambda *_: None))
    protocol.rpc_ping(("::ffff:127.0.0.1", 7400, 0, 3), b"\x02" * 20)
    (bucket,) = protocol.router.buckets
    assert bucket.head().ip == "::ffff:127.0.0.1", "and its scope is gone"
