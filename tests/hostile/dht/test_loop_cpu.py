"""No datagram holds the loop for long, whatever it says and however much is kept here.

CPU time of this process, not time on a clock: a busy machine must not fail it.  Cryptography is the
real one.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import msgspec
import pytest

from dhtstore.dht.core.peer import _INTERNED_MAX, _interned, unpack_peer
from dhtstore.dht.core.stores.held import Standing
from dhtstore.errors import Unreachable
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey, dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.params import CONTACT_RECORDS_MAX, PROVIDER_RECORDS_MAX, PROVIDERS_PER_KEY_MAX
from dhtstore.wire.datagram import (
    CONTACT_V4_BYTES,
    AddProvider,
    FindContact,
    FindNode,
    FoundNodes,
    GetProviders,
    Ping,
    Pong,
    Provided,
    Providers,
    StoreContact,
    pack_contact,
)
from tests.unit.dht import rogue as rogue_module
from tests.unit.dht import world as world_module
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import HOUR_S, Member, World, play

HELD_S_MAX = 0.020
KEY = dht_key(b"the fullest")
encode = msgspec.msgpack.encode


@pytest.fixture(autouse=True)
def _real_cryptography(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def crypto(node: bytes, owner: bytes) -> Ed25519Crypto:
        return Ed25519Crypto(hashlib.sha256(node).digest(), hashlib.sha256(owner).digest())

    for module in (world_module, rogue_module):
        monkeypatch.setattr(module, "SimCrypto", crypto)
    gc.disable()
    yield
    gc.enable()


def expect_short(scene: Callable[[World], Awaitable[float]]) -> None:
    """The longest datagram of a scene: a second time where it took long, since the system's own
    work for this process counts as well."""
    held_s = play(scene)
    assert held_s < HELD_S_MAX or play(scene) < HELD_S_MAX


def time_datagrams(member: Member) -> list[float]:
    """CPU seconds of each datagram that arrives from here on; before its service is started."""
    channel, held_s = member.dht.rpc.channel, list[float]()
    receive = channel.receive

    def timed(data: bytes, source: Address) -> None:
        started_s = time.process_time()
        receive(data, source)
        held_s.append(time.process_time() - started_s)

    channel.receive = timed  # type: ignore[method-assign]
    return held_s


def fill(member: Member) -> None:
    """The stores of ``member``, by strangers of a thousand networks."""
    keeper, now = member.dht.rpc.keeper, int(member.clock.unix_s())
    keeper.tick()
    for number in range(PROVIDER_RECORDS_MAX):
        key = KEY if number < PROVIDERS_PER_KEY_MAX else dht_key(b"%d" % number)
        signer = number.to_bytes(32, "big")
        made = ProviderRecord(key, signer, 1, now, now + HOUR_S)
        keeper._providers.add(attach(made, b"s" * 64), Standing(b"%d" % (number % 1000)))
    for number in range(CONTACT_RECORDS_MAX):
        at = ((f"91.{number % 250}.1.1", 7400),) * 4
        signer = number.to_bytes(32, "big")
        contact = ContactRecord(signer, at, 1, "d" * 64, 1, now, now + HOUR_S)
        keeper._contacts.add(attach(contact, b"s" * 64), Standing(b"%d" % (number % 1000)))


def test_a_full_store_is_nothing_for_the_collector_to_look_at() -> None:
    """A full collection took 60 to 80 ms of the loop, and takes 10."""

    async def scene(world: World) -> None:
        member = world.add()
        gc.collect()
        before = len(gc.get_objects())
        fill(member)
        for _ in range(2):  # tuples of tuples are seen to lead nowhere one layer at a time
            gc.collect()
        assert len(gc.get_objects()) - before < PROVIDER_RECORDS_MAX // 10

    play(scene)


def stranger_contacts(first: int, count: int) -> bytes:
    """``count`` contacts nobody knows yet."""
    named = []
    for number in range(first, first + count):
        key = PublicKey(hashlib.sha256(b"%d" % number).digest())
        at = Address(f"77.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 7400)
        named.append(pack_contact(Contact.of(key, at)))
    return b"".join(named)


def requests_of(member: Member, world: World) -> Iterator[bytes]:
    """Payloads of every kind of request, of the worst content found."""
    other = world.add()
    contact = other.contact_record()
    yield encode(Ping())
    yield encode(FindNode(KEY))
    yield from (encode(GetProviders(KEY, offset)) for offset in (0, 3, 63, 64))
    yield encode(FindContact(bytes(20)))
    for number in range(20):
        record = other.provider_record(dht_key(b"new %d" % number))
        yield encode(AddProvider(record.packed, contact.packed))
    yield encode(AddProvider(other.provider_record(KEY).packed, contact.packed))
    withdrawal = other.provider_record(KEY, sequence=9, lifetime_s=0)
    yield encode(AddProvider(withdrawal.packed, contact.packed))
    yield encode(AddProvider(attach(record, b"s" * 64).packed, contact.packed))
    yield encode(AddProvider(b"\x9f" * 256, b"\xdd\xff\xff\xff\xff" * 100))
    yield encode(StoreContact(contact.packed))
    yield encode(StoreContact(attach(contact, b"s" * 64).packed))
    yield encode(["ping"] + [[]] * 1000)
    yield encode(["procedure of later" for _ in range(50)])
    yield b"\x91" * 1100
    yield b"\xdf\xff\xff\xff\xff" + b"\x80" * 1000
    yield b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000


async def send_all(world: World, member: Member, stranger: Rogue) -> None:
    for payload in requests_of(member, world):
        stranger.request(member, payload, size_bytes=1200)
        await asyncio.sleep(1)
    frame = b"\x00" + b"m" * 20 + encode(Ping())
    forged = stranger.seal(stranger.contact.public_key, frame)
    for data in (b"", b"\x01", bytes(1200), b"\xff" * 65_000, forged):
        member.dht.rpc.channel.receive(data, stranger.contact.address)


def test_no_request_holds_the_loop_of_a_full_node_nor_when_all_it_keeps_ends() -> None:
    async def scene(world: World) -> float:
        member = world.add()
        held_s = time_datagrams(member)
        await member.dht.start()
        fill(member)
        assert member.dht.records_held == PROVIDER_RECORDS_MAX
        stranger = await Rogue(world, host="92.1.1.1").open()
        stranger.answer = lambda request: encode(Pong(b"", 0))
        await member.dht.ping(stranger.contact, 3)  # so that its address is proved
        await send_all(world, member, stranger)
        assert len(held_s) > 40
        await asyncio.sleep(HOUR_S)  # all that is kept ends at once
        for _ in range(20):
            stranger.request(member, encode(GetProviders(KEY, 0)), size_bytes=400)
            await asyncio.sleep(1)
        return max(held_s)

    expect_short(scene)


def answers_of(world: World, right: bool) -> Iterator[tuple[bytes, bytes]]:
    """What a liar says to ``find_node`` and to ``get_providers``."""
    yield encode(FoundNodes(stranger_contacts(0, 28))), b""
    pages = []
    for number in range(6):
        other = world.add()
        record, contact = other.provider_record(KEY), other.contact_record()
        if not right:
            record = attach(record, b"s" * 64)
        pages.append(Provided(record.packed, contact.packed if number < 2 else None))
    yield b"", encode(Providers(64, pages, b""))
    yield b"", encode(Providers(64, [Provided(b"\x95" + b"\xc0" * 64)] * 15, b""))
    yield b"\x91" * 1100, b"\x91" * 1100
    yield encode([[]] * 1000), encode([[]] * 1000)


@pytest.mark.parametrize("right", [True, False], ids=["signed right", "signed wrong"])
def test_no_answer_holds_the_loop_of_who_asked(right: bool) -> None:
    async def scene(world: World) -> float:
        member = world.add()
        held_s = time_datagrams(member)
        await member.dht.start()
        for number, (nodes, providers) in enumerate(answers_of(world, right)):
            liar = await Rogue(world, b"%d" % number, f"92.1.{number}.1").open()
            liar.answer = lambda request, nodes=nodes, providers=providers: (  # type: ignore[misc]
                nodes if isinstance(request, FindNode)
                else providers if isinstance(request, GetProviders)
                else encode(Pong(b"", 0))
            )  # fmt: skip
            await member.dht.ping(liar.contact, 3)
            await member.dht.lookup(KEY, timeout_s=15)
            with suppress(Unreachable):
                await member.dht.find_providers(DhtKey(KEY), wanted=8, timeout_s=15)
        assert len(held_s) > 8
        return max(held_s)

    expect_short(scene)


def test_contacts_of_strangers_are_forgotten_one_by_one() -> None:
    """All nodes of a process share what they know of a contact.  That is bounded, and to forget
    all of it at once took 11 ms."""
    packed = stranger_contacts(100_000, _INTERNED_MAX + 100)
    each = [packed[at : at + CONTACT_V4_BYTES] for at in range(0, len(packed), CONTACT_V4_BYTES)]
    met = [unpack_peer(one) for one in each]
    assert len(_interned) == _INTERNED_MAX
    assert unpack_peer(each[200]) is met[200], "only the oldest were forgotten"
