"""Defects 1 to 5: what one datagram of anybody did to a node."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest
from kademlia.node import Node
from rpcudp.protocol import RPCProtocol

from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.core.table import Table
from dhtstore.errors import ConnectionLost, RemoteProtocolError
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import VERIFY_PINGS_PER_S, K
from dhtstore.wire import datagram
from dhtstore.wire.datagram import FindNode, FoundNodes
from tests.defects.conftest import OurPlay
from tests.defects.scenes import KEY, cpu_s_of, encode, living, one_and_rogue
from tests.defects.stock import StockPlay, StockWorld
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import World

# --- 1 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [b"\x01\x02\x03\x04\x00\x00", b"\xe0\x00\x00\x01\x1d\x00", bytes(4) + b"\x1d\x00"],
    ids=["port 0", "multicast", "unspecified"],
)
def test_1_a_bad_contact_in_an_answer_costs_nothing(ours: OurPlay, where: bytes) -> None:
    async def scene(world: World) -> None:
        member, rogue = await one_and_rogue(world, FoundNodes(b"k" * 32 + b"\x00" + where))
        assert await member.dht.lookup(KEY, timeout_s=9) == [rogue.contact]
        assert await member.dht.ping(rogue.contact, 3) >= 0

    ours(scene)


@pytest.mark.parametrize("bad", [("1.2.3.4", 70_000), ("localhost", 7400), ("", 7400)], ids=str)
def test_1_an_address_that_no_socket_takes_is_refused_and_the_socket_lives(
    ours: OurPlay, bad: tuple[str, int]
) -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        assert not member.endpoint.send(b"x", Address(*bad))
        nowhere = Contact.of(PublicKey(b"k" * 32), Address(*bad))
        with pytest.raises(ConnectionLost):
            await member.dht.ping(nowhere, 1)
        assert await member.dht.ping(other.contact, 3) >= 0

    ours(scene)


def test_1_stock_closes_its_socket(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare(lambda asked: [[b"\x01" * 20, "1.2.3.4", 70_000]])
        await server.bootstrap([rogue.where])
        assert server.transport.is_closing()

    stock(scene)


# --- 2 -------------------------------------------------------------------------------------------


def test_2_ids_have_one_length_and_are_computed_not_declared(ours: OurPlay) -> None:
    targets = (b"", b"\x05", b"\x00\x05", bytes(19), bytes(21))

    async def scene(world: World) -> None:
        members = await world.grow(4)
        rogue = await Rogue(world).open()
        for target in targets:
            rogue.request(members[0], encode(["find_node", target]))
        await asyncio.sleep(1)
        assert members[0].dht.counters["malformed"] == len(targets)
        assert rogue.heard == []
        assert len(await members[1].dht.lookup(KEY, timeout_s=9)) == 3
        assert await members[0].provide(KEY) == 4

    ours(scene)
    with pytest.raises(RemoteProtocolError):
        datagram.decode_request(encode(["find_node", bytes(21)]))


def test_2_stock_fails_at_every_lookup_after_two_pings(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare()
        for node_id in (b"\x05", b"\x00\x05"):
            rogue.ask(server, "ping", node_id)
        await asyncio.sleep(1)
        with pytest.raises(TypeError):
            await server.set("key", "value")

    stock(scene)


# --- 3 -------------------------------------------------------------------------------------------


def test_3_sixty_strangers_make_few_buckets(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        for number in range(60):
            rogue = await Rogue(world, b"%d" % number, f"10.66.{number}.1").open()
            rogue.answer = living
            rogue.request(member, encode(["ping"]))
            await asyncio.sleep(1 / VERIFY_PINGS_PER_S)  # as fast as strangers may get in
        await asyncio.sleep(30)
        table = member.dht.rpc.table
        assert len(table) >= K, "they answered, and got in"
        assert len(table.buckets) <= 20

    ours(scene)


def test_3_buckets_are_at_most_160_whatever_ids_come(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rng, table = random.Random(3), Table(Node(member.contact.node), K)
        for number in range(1500):
            contact = Contact.of(PublicKey(rng.randbytes(32)), Address("10.0.0.1", 1 + number))
            table.answered(peer_of(contact), 1.0)
        assert len(table.buckets) <= 160
        assert all(len(bucket) <= K for bucket in table.buckets if bucket is not None)

    ours(scene)


def test_3_stock_makes_more_buckets_than_contacts(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare()
        for size in range(1, 25):
            rogue.ask(server, "ping", b"\x01".rjust(size, b"\0"))
        await asyncio.sleep(1)
        assert len(server.protocol.router.buckets) > 160

    stock(scene)


# --- 4 -------------------------------------------------------------------------------------------


def test_4_deep_nesting_is_refused_at_once(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()

        async def send() -> None:
            for opening in (b"\x91", b"\x81\xa1a", b"\x92\xa4ping") * 60:
                rogue.request(member, opening * (1000 // len(opening)))
            await asyncio.sleep(1)

        assert await cpu_s_of(send) < 0.5, "the library takes 30 ms each"
        assert member.dht.counters == {"malformed": 180}
        assert rogue.heard == []

    ours(scene)


def test_4_stock_runs_out_of_stack(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare()
        raised = _noted(server)
        rogue.send(server, b"\x00" + b"m" * 20 + b"\x91" * 2900)
        await asyncio.sleep(1)
        assert raised == ["RecursionError"]

    stock(scene)


# --- 5 -------------------------------------------------------------------------------------------

JUNK = (encode(["ping"]), encode(["no_such"]), b"\xc1", encode([1, 2]), b"", encode({"a": 1}))


def test_5_a_request_makes_no_task_and_junk_raises_nothing(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        tasks: list[int] = []
        receive = member.dht.rpc.channel._receive

        def watched(data: bytes, source: Address) -> None:
            tasks.append(-len(asyncio.all_tasks()))
            try:
                receive(data, source)
            finally:
                tasks[-1] += len(asyncio.all_tasks())

        member.dht.rpc.channel._receive = watched  # type: ignore[method-assign]
        for payload in JUNK:
            rogue.request(member, payload)
        await asyncio.sleep(0.4)
        assert tasks == [0] * len(JUNK)
        assert member.dht.counters == {"malformed": 4, "unsupported": 1}

    ours(scene)


@pytest.mark.parametrize("name", ["store", "find_value", "stun", "__init__", "get_providers_"])
def test_5_only_the_whitelist_can_be_called(ours: OurPlay, name: str) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        rogue.request(member, encode([name, KEY, 1]))
        await asyncio.sleep(0.4)
        assert member.dht.counters == {"unsupported": 1}

    ours(scene)


def test_5_an_unknown_name_is_no_remote_call(ours: OurPlay) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        with pytest.raises(AttributeError):
            _ = member.dht.rpc.calls.any_typo

    ours(scene)


def test_5_stock_raises_in_a_task_for_each_and_calls_whatever_is_misspelt(stock: StockPlay) -> None:
    async def scene(world: StockWorld) -> None:
        server = await world.server()
        rogue = await world.bare()
        raised = _noted(server)
        for payload in (b"\xc1", encode([1, 2, 3]), encode(["ping", [1]]), encode(["store", []])):
            rogue.send(server, b"\x00" + b"m" * 20 + payload)
        await asyncio.sleep(1)
        assert len(raised) == 4
        assert callable(RPCProtocol.__getattr__(server.protocol, "any_typo"))

    stock(scene)


def _noted(server: object) -> list[str]:
    """The names of what the library's tasks raise from now on; nobody else sees them."""
    raised: list[str] = []
    real = SimpleNamespace(
        solve=server.protocol._solve_datagram,  # type: ignore[attr-defined]
        accept=server.protocol._accept_request,  # type: ignore[attr-defined]
    )

    async def solve(data: bytes, source: object) -> None:
        try:
            await real.solve(data, source)
        except Exception as error:
            raised.append(type(error).__name__)

    async def accept(*args: object) -> None:
        try:
            await real.accept(*args)
        except Exception as error:
            raised.append(type(error).__name__)

    server.protocol._solve_datagram = solve  # type: ignore[attr-defined]
    server.protocol._accept_request = accept  # type: ignore[attr-defined]
    return raised


def test_4_a_target_of_the_right_length_is_answered(ours: OurPlay) -> None:
    """What is refused above is refused for its nesting."""

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        rogue.request(member, encode(FindNode(KEY)))
        await asyncio.sleep(1)
        assert len(rogue.heard) >= 1

    ours(scene)
