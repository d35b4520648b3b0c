"""One malformed part costs itself, not what stands beside it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from dhtstore.dht.core.record_rules import contact_form
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.wire.datagram import AddProvider, GetProviders, Provided, Providers
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World, play

KEY = dht_key(b"unit")
Pair = tuple[ProviderRecord, ContactRecord]


def wide(contact: ContactRecord) -> ContactRecord:
    return attach(msgspec.structs.replace(contact, domain="d" * 2000), b"s" * 64)


def outliving(record: ProviderRecord) -> ProviderRecord:
    longer = msgspec.structs.replace(record, expires=record.issued + 48 * 3600 + 10)
    return attach(longer, b"s" * 64)


@pytest.mark.parametrize("spoilt", ["wide contact", "lives too long", "of another key", "unsigned"])
def test_what_one_holder_signed_wrong_costs_no_other_its_record(spoilt: str) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        pairs = [(one.provider_record(KEY), one.contact_record()) for one in members[1:]]
        pairs[1] = _spoil(spoilt, members, pairs[1])
        for _ in range(3):
            published = await members[0].dht.provide(KEY, pairs, timeout_s=15)
            assert [one.holders > 0 for one in published] == [True, False, True]
            assert published[1].refusals
        assert len(members[0].dht.contacts()) == 3, "good nodes do not count as dead for it"
        found = await members[0].dht.find_providers(KEY, wanted=8, timeout_s=15)
        assert len(found.providers) == 2

    play(scene)


def _spoil(spoilt: str, members: list[Member], pair: Pair) -> Pair:
    record, contact = pair
    if spoilt == "wide contact":
        return record, wide(contact)
    if spoilt == "lives too long":
        return outliving(record), contact
    if spoilt == "of another key":
        return record, members[1].contact_record()
    return attach(record, b"s" * 64), contact


def test_a_record_that_does_not_decode_is_refused_by_a_word_not_by_silence() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(2)
        junk = AddProvider(b"\xc1" * 100, members[0].contact_record().packed)
        peer = next(iter(members[0].dht.rpc.table))
        answer = await members[0].dht.rpc.calls.call(peer, junk)
        assert getattr(answer, "verdict", "") == "malformed"

    play(scene)


def test_a_page_with_one_record_that_does_not_decode_gives_the_others() -> None:
    async def scene(world: World) -> None:
        asker, holder = await world.grow(2)
        rogue = await Rogue(world).open()
        right = Provided(holder.provider_record(KEY).packed, holder.contact_record().packed)
        junk = Provided(b"\xc1" * 100, b"\xc1" * 100)

        def answer(request: object) -> bytes:
            if isinstance(request, GetProviders):
                return msgspec.msgpack.encode(Providers(3, [junk, right, junk], b""))
            return msgspec.msgpack.encode([b"pong", 0])

        rogue.answer = answer
        await asker.dht.ping(rogue.contact, 3)
        found = await asker.dht.find_providers(KEY, wanted=8, timeout_s=15)
        assert [one.record.public_key for one in found.providers] == [holder.public_key]
        await asyncio.sleep(1)

    play(scene)


@pytest.mark.parametrize("host", ["example.org", "", "1.2.3", "1.2.3.4.5", "::g"])
def test_a_contact_record_that_names_no_address_is_malformed(host: str) -> None:
    async def scene(world: World) -> None:
        record = world.add().contact_record()
        assert contact_form(record)
        made = msgspec.structs.replace(record, addresses=((host, 7400),))
        assert not contact_form(attach(made, b"s" * 64))

    play(scene)
