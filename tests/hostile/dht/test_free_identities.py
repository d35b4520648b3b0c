"""Keys cost nothing, so they are worth nothing: what counts is where they are, and who answers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dhtstore.dht.core.stores import contact_store, provider_store
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey, dht_key
from dhtstore.model.signing import unpack
from dhtstore.params import COLD_KEYS_PER_S
from dhtstore.wire.datagram import StoreContact
from simulations.world.ports.crypto import SimCrypto
from tests.hostile.dht.stranger import Stranger
from tests.unit.dht.world import Member, World, play

KEY = dht_key(b"the wanted unit")


async def found(member: Member, key: DhtKey = KEY, wanted: int = 8) -> set[bytes]:
    result = await member.dht.find_providers(key, wanted=wanted, timeout_s=15)
    return {each.record.public_key for each in result.providers}


def liars(host: str, count: int, members: list[Member], liar: Stranger) -> None:
    for number in range(count):
        claimed = f"77.{number}.1.1"  # each says that it is elsewhere
        for member in members:
            liar.provide(member, KEY, b"%s %d" % (host.encode(), number), claimed)


def test_64_throw_away_keys_do_not_keep_a_key_for_48_hours() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(3)
        liar = await Stranger(world, "91.1.1.1").open()
        honest = await Stranger(world, "92.1.1.1").open()
        liars("91.1.1.1", 64, members, liar)
        await asyncio.sleep(2)
        for member in members:
            honest.provide(member, KEY)
        await asyncio.sleep(2)
        assert honest.verdicts == ["kept"] * 3
        assert honest.contact.public_key in await found(members[0])

    play(scene)


def test_an_honest_provider_is_found_among_a_thousand_that_lie() -> None:
    """Each of 250 networks brings four keys: no origin is crowded, only nobody answers there."""

    async def scene(world: World) -> None:
        members = await world.grow(3)
        early = await Stranger(world, "92.1.1.1", reachable=True).open()
        late = await Stranger(world, "92.2.2.2", reachable=True).open()
        for member in members:
            early.provide(member, KEY)
        for number in range(250):
            liar = await Stranger(world, f"91.{number}.1.1").open()
            for key in range(4):
                for member in members:
                    liar.provide(member, KEY, b"%d/%d" % (number, key), f"77.{number}.{key}.1")
            await asyncio.sleep(0.5)
        for member in members:
            late.provide(member, KEY)
        await asyncio.sleep(5)  # the node looks whether it is there
        named = await found(members[0])
        assert {early.contact.public_key, late.contact.public_key} <= named

    play(scene)


def test_addresses_that_are_only_claimed_crowd_nobody_out() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(1)
        honest = await Stranger(world, "92.1.1.1", reachable=True).open()
        honest.provide(members[0], KEY)
        for number in range(100):
            liar = await Stranger(world, f"91.{number}.1.1").open()
            liar.provide(members[0], KEY, b"%d" % number, "92.1.1.2")
            await asyncio.sleep(0.2)
        records = members[0].dht.rpc.keeper.providers(KEY)
        assert honest.contact.public_key in {record.public_key for record in records}

    play(scene)


def test_five_keys_do_not_fill_a_nodes_whole_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_store, "PROVIDER_RECORDS_MAX", 1000)

    async def scene(world: World) -> None:
        members = await world.grow(1)
        liar = await Stranger(world, "91.1.1.1").open()
        honest = await Stranger(world, "92.1.1.1").open()
        for number in range(1100):
            liar.provide(members[0], dht_key(b"%d" % number), b"%d" % (number % 5), "77.1.1.1")
            if not number % 100:
                await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        for number in range(20):
            honest.provide(members[0], dht_key(b"honest %d" % number))
        await asyncio.sleep(2)
        assert honest.verdicts == ["kept"] * 20
        assert members[0].dht.records_held == 1000

    play(scene)


def test_contact_records_of_throw_away_keys_leave_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_store, "CONTACT_RECORDS_MAX", 100)

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        liar = await Stranger(world, "91.1.1.1").open()
        honest = await Stranger(world, "92.1.1.1").open()
        for number in range(150):
            crypto = SimCrypto(b"%d" % number, b"")
            pair = liar.pair(crypto, KEY, "77.1.1.1", 3600)
            liar.send(member, StoreContact(pair.contact), crypto)
        await asyncio.sleep(2)
        own = honest.pair(honest.crypto, KEY, "92.1.1.1", 3600).contact
        honest.send(member, StoreContact(own))
        await asyncio.sleep(2)
        assert honest.verdicts == ["kept"]
        assert member.dht.rpc.keeper.contact(unpack(ContactRecord, own).node) is not None

    play(scene)


def test_where_places_are_scarce_a_spoofed_source_takes_none() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        liar = await Stranger(world, "91.1.1.1").open()
        for number in range(300):  # as if from everywhere, and no answer ever arrives there
            crypto = SimCrypto(b"%d" % number, b"")
            payload = msgspec.msgpack.encode(liar.pair(crypto, KEY, "77.1.1.1", 3600))
            liar.crypto = crypto
            data = liar.seal(member.contact.public_key, b"\x00" + b"m" * 20 + payload)
            spoofed = (
                await Stranger(world, f"93.{number % 250}.{number // 250}.1").open()
            ).endpoint
            member.dht.rpc.channel.receive(data, spoofed.local)
            await asyncio.sleep(1 / COLD_KEYS_PER_S)
        await asyncio.sleep(2)
        assert len(member.dht.rpc.keeper.providers(KEY)) == 32

    play(scene)


def test_64_networks_that_flood_a_key_do_not_keep_a_new_holder_from_being_asked() -> None:
    """Its record is brought by who put there, so that it counts once it has answered itself."""

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        holder = await Stranger(world, "94.1.1.1", reachable=True).open()
        uploader = await Stranger(world, "92.1.1.1").open()
        flooding = [await Stranger(world, f"91.{n}.1.1").open() for n in range(64)]
        for second in range(30):
            for liar in flooding:
                for number in range(4):
                    identity = b"%s %d %d" % (liar.contact.node, second, number)
                    liar.provide(member, KEY, identity, f"77.{second}.{number}.1")
            if second == 5:
                uploader.provide(member, KEY, b"94.1.1.1", "94.1.1.1")
            await asyncio.sleep(1)
        assert holder.contact.public_key in await found(member)

    play(scene)


def test_a_flood_of_records_does_not_keep_those_held_from_being_asked() -> None:
    """Twenty bring a record each second, and one ping in two is for what is held already."""

    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        for number in range(31):
            liar = await Stranger(world, f"91.{number}.1.1").open()
            liar.provide(member, KEY, b"early %d" % number, f"77.{number}.1.1")
        honest = await Stranger(world, "92.1.1.1", reachable=True).open()
        honest.provide(member, KEY)
        await asyncio.sleep(1)
        for number in range(150):
            liar = await Stranger(world, f"93.{number}.1.1").open()
            liar.provide(member, KEY, b"%d" % number, f"78.{number}.1.1")
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        assert honest.contact.public_key in await found(member)

    play(scene)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.1"])
def test_a_record_does_not_make_a_node_ping_its_own_machine_or_house(host: str) -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        liar = await Stranger(world, "91.1.1.1").open()
        inside = await Stranger(world, host).open()
        for number in range(100):
            liar.provide(member, KEY, b"%d" % number, host)
        await asyncio.sleep(5)
        assert inside.heard == []

    play(scene)


def test_a_small_network_takes_all_files_of_its_one_publisher() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(3)
        for number in range(200):
            assert await members[0].provide(dht_key(b"file %d" % number)) == 3

    play(scene)
