"""A flood, of whatever datagrams: they are counted, and nothing grows."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable

import msgspec

from dhtstore.model.contact import Address
from dhtstore.model.identity import dht_key
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.wire import envelope
from dhtstore.wire.datagram import FindNode, Ping, StoreContact
from simulations.world.ports.crypto import SimCrypto
from tests.hostile.dht.stranger import Stranger
from tests.unit.dht.world import Member, World, play

FLOOD = 6_000
GROWTH_MAX_BYTES = 1_500_000  # of caches that are bounded, and of what waits to be answered
KEY = dht_key(b"unit")


def grown_bytes(member: Member, made: Callable[[int], bytes]) -> int:
    """By how much memory in use grows with the second of two floods, each from its own sources."""
    datagrams = [made(number) for number in range(FLOOD)]
    sources = [Address(f"91.{n % 250}.{n // 250}.1", 7400) for n in range(FLOOD)]
    for data, source in zip(datagrams[: FLOOD // 2], sources[: FLOOD // 2], strict=True):
        member.dht.rpc.channel.receive(data, source)
    tracemalloc.start()
    for data, source in zip(datagrams[FLOOD // 2 :], sources[FLOOD // 2 :], strict=True):
        member.dht.rpc.channel.receive(data, source)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def flood(made: Callable[[Member, World, Stranger], Callable[[int], bytes]]) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        member.endpoint.send = lambda data, to: True  # type: ignore[method-assign]
        stranger = await Stranger(world, "92.1.1.1").open()
        assert grown_bytes(member, made(member, world, stranger)) < GROWTH_MAX_BYTES
        assert len(member.dht.counters) < 12
        assert member.dht.rpc.calls.in_flight < 100
        assert len(member.dht.contacts()) == 0
        await asyncio.sleep(40)  # some of each origin wait for their turn
        assert member.dht.rpc.calls.in_flight == 0

    play(scene)


def test_garbage_is_counted_and_nothing_else() -> None:
    def made(member: Member, world: World, stranger: Stranger) -> Callable[[int], bytes]:
        prefix = world.network.datagram_prefix
        return lambda n: prefix * (n % 2) + world.rng.randbytes(n % DATAGRAM_MAX_BYTES)

    flood(made)


def test_what_others_forge_leaves_nothing_behind() -> None:
    def made(member: Member, world: World, stranger: Stranger) -> Callable[[int], bytes]:
        frame = b"\x00" + b"m" * 20 + msgspec.msgpack.encode(Ping())
        sealed = stranger.seal(member.contact.public_key, frame)
        return lambda n: sealed[:10] + n.to_bytes(32, "big") + sealed[42:]

    flood(made)


def test_answers_and_challenges_that_nobody_asked_for_leave_nothing_behind() -> None:
    def made(member: Member, world: World, stranger: Stranger) -> Callable[[int], bytes]:
        answer = stranger.seal(member.contact.public_key, b"\x01" + b"m" * 20 + b"\x90")
        key = stranger.contact.public_key
        challenge = envelope.challenge(world.network, key, b"m" * 20, b"c" * 16)
        return lambda n: answer if n % 2 else challenge

    flood(made)


def test_newcomers_without_number_are_met_in_bounded_numbers() -> None:
    """Each of another key at another address, with a request that is in order."""

    def made(member: Member, world: World, stranger: Stranger) -> Callable[[int], bytes]:
        def one(number: int) -> bytes:
            stranger.crypto = SimCrypto(b"%d" % number, b"")
            frame = b"\x00" + b"m" * 20 + msgspec.msgpack.encode(FindNode(KEY))
            return stranger.seal(member.contact.public_key, frame, size_bytes=400)

        return one

    flood(made)


def test_contact_records_of_newcomers_are_kept_in_bounded_numbers() -> None:
    def made(member: Member, world: World, stranger: Stranger) -> Callable[[int], bytes]:
        def one(number: int) -> bytes:
            stranger.crypto = SimCrypto(b"%d" % number, b"")
            contact = stranger.pair(stranger.crypto, KEY, "77.1.1.1", 3600).contact
            frame = b"\x00" + b"m" * 20 + msgspec.msgpack.encode(StoreContact(contact))
            return stranger.seal(member.contact.public_key, frame)

        return one

    flood(made)
