"""Datagrams of a later version: answered where an answer is owed, counted where none is."""

from __future__ import annotations

import asyncio

import msgspec

from dhtstore.model.identity import dht_key
from dhtstore.model.signing import sign
from dhtstore.params import (
    DOMAIN_LABEL_MAX_BYTES,
    FEATURE_NAME_MAX_CHARS,
    FEATURES_MAX,
    PEER_FAILURES_MAX,
)
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import (
    UNSUPPORTED,
    FindNode,
    GetProviders,
    Ping,
    Pong,
    Providers,
    Unserved,
)
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import World, play

KEY = dht_key(b"unit")
encode = msgspec.msgpack.encode


def test_an_unknown_request_is_answered_and_counted() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        rogue.request(member, encode(["find_value", KEY, {"x": 1}]))
        await asyncio.sleep(1)
        answers = [opened for data in rogue.heard if (opened := envelope.parse(data))]
        assert answers[0].frame[:21] == bytes((datagram.RESPONSE,)) + b"m" * 20
        assert datagram.decode_response(Ping(), answers[0].frame[21:]) == UNSUPPORTED
        assert member.dht.counters == {"unsupported": 1}

    play(scene)


def test_a_frame_that_is_neither_request_nor_answer_is_counted_and_not_answered() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        data = rogue.seal(member.contact.public_key, b"\x07" + b"m" * 20 + b"anything")
        rogue.endpoint.send(data, member.address)
        await asyncio.sleep(1)
        assert rogue.heard == []
        assert member.dht.counters == {"unknown": 1}

    play(scene)


def test_unknown_flags_of_an_envelope_mean_nothing() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        rogue = await Rogue(world).open()
        frame = bytes((datagram.REQUEST,)) + b"m" * 20 + encode(["ping"])
        for flag in (32, 64, 128):
            data = rogue.seal(member.contact.public_key, frame, flags=flag | envelope.EPHEMERAL)
            rogue.endpoint.send(data, member.address)
        await asyncio.sleep(1)
        assert len(rogue.heard) == 3
        assert member.dht.counters == {}

    play(scene)


def test_a_longer_challenge_is_still_one() -> None:
    data = envelope.challenge(Rogue(World()).network, b"k" * 32, b"m" * 20, b"c" * 16)  # type: ignore[arg-type]
    assert envelope.parse_challenge(data + b"later") == envelope.parse_challenge(data)
    assert envelope.parse_challenge(data[:-1]) is None


def test_a_peer_that_does_not_serve_a_request_is_alive_and_passed_over() -> None:
    async def scene(world: World) -> None:
        member, other = await world.grow(2)
        rogue = await Rogue(world).open()
        pong = encode(Pong(datagram.pack_address(member.address)))
        rogue.answer = lambda asked: pong if isinstance(asked, Ping) else encode(UNSUPPORTED)
        assert await member.dht.ping(rogue.contact, 3) > 0
        for _ in range(PEER_FAILURES_MAX + 1):
            assert await member.dht.rpc.calls.call(rogue.peer, FindNode(KEY)) == UNSUPPORTED
            found = await member.dht.lookup(KEY, timeout_s=9)
            assert [contact.node for contact in found] == [other.contact.node]
        assert rogue.contact.node in {contact.node for contact in member.dht.contacts()}
        assert await other.provide(KEY) == 2  # itself and the member: the rogue stores nothing

    play(scene)


def test_a_refusal_with_a_code_of_a_later_version_is_one_too() -> None:
    payload = encode({"code": "not-today", "more": [1]})
    assert datagram.decode_response(FindNode(KEY), payload) == Unserved("not-today")


def test_providers_with_the_largest_contact_records_are_found_too() -> None:
    async def scene(world: World) -> None:
        member, publisher, asker = await world.grow(3)
        wide = msgspec.structs.replace(
            publisher.contact_record(),
            domain="d" * DOMAIN_LABEL_MAX_BYTES,
            addresses=(("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535),) * 4,
            features=tuple(
                f"{number:f>{FEATURE_NAME_MAX_CHARS}}" for number in range(FEATURES_MAX)
            ),
        )
        contact = sign(wide, world.network, publisher.crypto.node)
        record = publisher.provider_record(KEY)
        [published] = await publisher.dht.provide(KEY, [(record, contact)], timeout_s=9)
        assert published.holders == 3
        rogue = await Rogue(world).open()
        rogue.request(member, encode(["get_providers", KEY, 0]), size_bytes=400)
        await asyncio.sleep(1)
        answers = [opened for data in rogue.heard if (opened := envelope.parse(data))]
        page = datagram.decode_response(GetProviders(KEY, 0), answers[0].frame[21:])
        assert isinstance(page, Providers)
        assert [each.record for each in page.providers] == [record.packed]
        assert await asker.dht.find_contact(publisher.contact.node, timeout_s=9) == contact

    play(scene)
