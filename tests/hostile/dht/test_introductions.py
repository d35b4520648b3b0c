"""Whoever answers a lookup names addresses: how much of what we send that decides."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dhtstore.dht.core.introductions import Introductions, Lines
from dhtstore.dht.core.newcomers.silences import Silences
from dhtstore.dht.core.peer import unpack_peer
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import FIRST_REQUEST_PADDED_BYTES
from dhtstore.tasks import Supervisor
from dhtstore.wire.datagram import (
    FindNode,
    FoundNodes,
    Ping,
    Pong,
    Request,
    UnknownProcedure,
    pack_contact,
)
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import World, play

TARGET = b"\x00" * 20


class Victim:
    """Counts what arrives, on whatever port, and says nothing."""

    def __init__(self, world: World, host: str, ports: range) -> None:
        self.arrived: list[bytes] = []
        self.at = [world.net.endpoint(Address(host, port)) for port in ports]

    async def open(self) -> Victim:
        for endpoint in self.at:
            await endpoint.open(lambda data, _: self.arrived.append(data), Supervisor())
        return self

    @property
    def total_bytes(self) -> int:
        return sum(map(len, self.arrived))


def contacts(addresses: list[Address]) -> bytes:
    keys = [PublicKey(bytes((255 - number, 1)) + bytes(30)) for number in range(len(addresses))]
    return b"".join(pack_contact(Contact.of(k, a)) for k, a in zip(keys, addresses, strict=True))


async def led_by(world: World, addresses: list[Address], host: str = "91.1.1.1") -> None:
    """One lookup of a node that knows a liar, who names those."""
    (member,) = await world.grow(1)
    liar = await Rogue(world, host=host).open()

    def answer(request: Request | UnknownProcedure) -> bytes:
        if isinstance(request, FindNode):
            return msgspec.msgpack.encode(FoundNodes(contacts(addresses)))
        return msgspec.msgpack.encode(Pong(b"", 0))

    liar.answer = answer
    await member.dht.ping(liar.contact, 3)
    await member.dht.lookup(TARGET, timeout_s=60)


def test_27_keys_at_one_silent_address_draw_no_more_than_two_requests_and_their_repeats() -> None:
    async def scene(world: World) -> None:
        victim = await Victim(world, "92.1.1.1", range(1, 28)).open()
        await led_by(world, [endpoint.local for endpoint in victim.at])
        assert 0 < victim.total_bytes <= 2 * 2 * FIRST_REQUEST_PADDED_BYTES  # 21,600 without

    play(scene)


def test_27_addresses_of_one_network_draw_no_more_than_eight_requests_and_their_repeats() -> None:
    async def scene(world: World) -> None:
        victims = [await Victim(world, f"92.1.1.{n}", range(1, 2)).open() for n in range(1, 28)]
        await led_by(world, [victim.at[0].local for victim in victims])
        total = sum(victim.total_bytes for victim in victims)
        assert 0 < total <= 8 * 2 * FIRST_REQUEST_PADDED_BYTES

    play(scene)


def test_the_ipv6_addresses_of_one_line_are_one_address() -> None:
    asked = Introductions(Lines[object](lambda request: None), Silences(), 0.0)
    named = [Address(f"2a00:1:1:{n:x}::{n:x}", 7400) for n in range(1, 28)]  # of one /56
    peers = [unpack_peer(contacts([address])) for address in named]
    assert [peer is not None and asked.admits(peer) for peer in peers].count(True) == 2


def test_a_silent_address_has_one_request_to_answer_at_a_time() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        victim = await Victim(world, "92.1.1.1", range(1, 28)).open()
        keys = [PublicKey(bytes((n,)) + bytes(31)) for n in range(1, 28)]
        pings = [
            member.dht.ping(Contact.of(key, endpoint.local), 4)
            for key, endpoint in zip(keys, victim.at, strict=True)
        ]
        await asyncio.gather(*pings, return_exceptions=True)
        assert len(victim.arrived) <= 4
        assert member.dht.rpc.calls.in_flight == 0
        assert not member.dht.rpc.calls.lines._waiting

    play(scene)


def test_many_nodes_at_one_address_work_at_full_speed_once_one_has_answered() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        lab = []
        for number in range(20):
            rogue = Rogue(world, b"%d" % number, "92.1.1.1")
            rogue.endpoint = world.net.endpoint(Address("92.1.1.1", 7400 + number))
            rogue.answer = lambda request: (
                msgspec.msgpack.encode(Pong(b"", 0)) if isinstance(request, Ping) else None
            )
            lab.append(await rogue.open())
        await member.dht.ping(lab[0].contact, 3)
        rounds = await asyncio.gather(*(member.dht.ping(one.contact, 3) for one in lab))
        assert max(rounds) < 0.31, "no more than the way there and back"

    play(scene)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.1", "169.254.1.1"])
def test_a_stranger_leads_no_lookup_to_local_addresses(host: str) -> None:
    async def scene(world: World) -> None:
        victim = await Victim(world, host, range(1, 28)).open()
        await led_by(world, [endpoint.local for endpoint in victim.at])
        assert victim.arrived == []

    play(scene)


def test_a_neighbour_leads_to_neighbours() -> None:
    async def scene(world: World) -> None:
        victim = await Victim(world, "192.168.1.2", range(1, 2)).open()
        await led_by(world, [victim.at[0].local], "192.168.1.1")
        assert victim.arrived

    play(scene)
