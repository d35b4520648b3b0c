"""Each behaviour does what it says to an honest node that asks over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dhtstore.errors import DhtstoreError, InvalidSignature
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import check, unpack
from dhtstore.wire.datagram import (
    UNSUPPORTED,
    AddProvider,
    FindNode,
    FoundNodes,
    GetProviders,
    Ping,
    Pong,
    Providers,
    Stored,
    split_contacts,
    unpack_contact,
)
from simulations.events.users import get_bytes, put_bytes
from simulations.sections.adversary import BEHAVIOURS
from tests.simulation.events.adversary.stage import Stage, play

KEY = DhtKey(b"k" * 20)
ONE_DAY_S = 86_400.0


def add(pair: tuple[Any, Any]) -> AddProvider:
    return AddProvider(pair[0].packed, pair[1].packed)


def hosts_in(contacts: bytes) -> list[str]:
    return [unpack_contact(one).address.host for one in split_contacts(contacts, ipv6=False)]


def providers_in(answer: Any) -> list[ProviderRecord]:
    return [unpack(ProviderRecord, one.record) for one in answer.providers]


async def put(stage: Stage, data: bytes, *, replicas: int) -> Any:
    user = stage.honest[0]
    work = put_bytes(user.running, data, replicas=replicas)
    return await stage.world.population.run(user.number, work)


async def got(stage: Stage, root: Any) -> bytes:
    """By an honest node, while whoever put it is gone."""
    stage.world.population.crash(stage.honest[0].number)
    user = stage.honest[1]
    return await stage.world.population.run(user.number, get_bytes(user.running, root))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_it_is_honest_until_the_attack_and_after_it(behaviour: str) -> None:
    async def story(stage: Stage) -> None:
        honest = {one.address.host for one in stage.honest}
        for after in (False, True):
            answer = await stage.ask(FindNode(KEY))
            assert isinstance(answer, FoundNodes)
            assert set(hosts_in(answer.contacts)) <= honest
            stored = await stage.ask(add(stage.pair_of(stage.honest[1], KEY)))
            assert stored == Stored("kept")
            if not after:
                await stage.attack()
                await stage.world.attack.close()

    play(behaviour, story, identities=1)


def test_drop_answers_nothing_and_says_nothing() -> None:
    async def story(stage: Stage) -> None:
        assert isinstance(await stage.ask(Ping()), Pong)
        await stage.attack()
        with pytest.raises(DhtstoreError):
            await stage.ask(Ping())
        assert stage.world.attack.gang.acts["drop"] > 0
        streams, to = stage.honest[0].running.ports.streams, stage.adversary.address
        stream = await streams.dial(to, None, 10.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await stream.read_exactly(1)
        stream.abort()

    play("drop", story)


def test_lie_names_nobody_who_is_near_and_provides_everything() -> None:
    async def story(stage: Stage) -> None:
        await stage.attack()
        answer = await stage.ask(FindNode(KEY))
        assert isinstance(answer, FoundNodes)
        hosts = hosts_in(answer.contacts)
        assert stage.adversary.address.host in hosts
        assert sum(host.startswith("10.255.") for host in hosts) == len(hosts) - 1 == 10
        told = await stage.ask(GetProviders(KEY, 0))
        (record,) = providers_in(told)
        assert record.public_key == stage.adversary.crypto.node.public_key
        check(record, stage.adversary.settings.network, stage.honest[0].crypto)

    play("lie", story)


def test_lie_serves_wrong_bytes_which_no_user_ever_sees() -> None:
    async def story(stage: Stage) -> None:
        stored = await put(stage, b"data" * 5000, replicas=2)
        await stage.attack()
        with pytest.raises(DhtstoreError):
            await got(stage, stored.cid)
        assert stage.world.attack.gang.acts["lie"] > 0

    play("lie", story, nodes=3)


def test_eclipse_names_the_gang_and_no_providers() -> None:
    async def story(stage: Stage) -> None:
        await stage.ask(add(stage.pair_of(stage.honest[1], KEY)))
        await stage.attack()
        found = await stage.ask(FindNode(KEY))
        assert isinstance(found, FoundNodes)
        assert hosts_in(found.contacts) == [stage.adversary.address.host]
        told = await stage.ask(GetProviders(KEY, 0))
        assert isinstance(told, Providers)
        assert (told.total, told.providers) == (0, [])
        assert hosts_in(told.contacts) == [stage.adversary.address.host]

    play("eclipse", story)


def test_stuff_fills_tables_with_made_up_nodes_and_keeps_publishing() -> None:
    async def story(stage: Stage) -> None:
        await stage.attack()
        await asyncio.sleep(3600)
        made_up = stage.world.population.made_up
        known = {
            entry.peer.id
            for one in stage.honest
            for bucket in one.running.dht.table().buckets
            for entry in bucket.entries
        }
        assert len(made_up) == 5
        assert known & made_up.keys(), "it answers pings, so it is a contact like any other"
        signers = {held.record.signer for held in stage.honest[0].running.dht.records()}
        members = {one.crypto.node.public_key for one in stage.world.population.members}
        assert len(signers - members) > 10

    play("stuff", story, identities=5)


def test_replay_tells_the_oldest_and_sends_others_datagrams_again() -> None:
    async def story(stage: Stage) -> None:
        provider = stage.honest[1]
        for _ in range(2):
            pair = stage.pair_of(provider, KEY)
            for keeper in (stage.adversary, stage.honest[2]):
                await stage.ask(add(pair), of=keeper)
            if not stage.world.attack.gang.active:
                first = pair[0]
                await stage.attack()
        assert pair[0].sequence > first.sequence
        assert providers_in(await stage.ask(GetProviders(KEY, 0))) == [first]
        await asyncio.sleep(3600)
        told = await stage.ask(GetProviders(KEY, 0), of=stage.honest[2])
        assert providers_in(told) == [pair[0]], "the older one has not come back"
        assert stage.world.attack.gang.refused == {}, (
            "who holds a newer one says so: that is no loss"
        )
        assert sum(one.running.dht.counters.get("forged", 0) for one in stage.honest) > 10

    play("replay", story)


def test_refuse_keeps_nothing_serves_nothing_and_lives() -> None:
    async def story(stage: Stage) -> None:
        held = await put(stage, b"data" * 5000, replicas=2)
        await stage.attack()
        assert await stage.ask(add(stage.pair_of(stage.honest[1], KEY))) == Stored("full")
        assert await stage.ask(FindNode(KEY)) == UNSUPPORTED
        assert await stage.ask(GetProviders(KEY, 0)) == UNSUPPORTED
        assert isinstance(await stage.ask(Ping()), Pong)
        more = await put(stage, b"more" * 5000, replicas=3)
        signed = {receipt.public_key for receipt in more.receipts}
        assert stage.adversary.crypto.node.public_key not in signed
        with pytest.raises(DhtstoreError):
            await got(stage, held.cid)

    play("refuse", story, nodes=3)


@pytest.mark.parametrize("attacks", [False, True])
def test_forget_signs_and_has_nothing_later(attacks: bool) -> None:
    async def story(stage: Stage) -> None:
        if attacks:
            await stage.attack()
        stored = await put(stage, b"data" * 5000, replicas=2)
        signed = {receipt.public_key for receipt in stored.receipts}
        assert stage.adversary.crypto.node.public_key in signed
        await asyncio.sleep(120)
        record = stage.pair_of(stage.honest[1], KEY)
        assert await stage.ask(add(record)) == Stored("kept")
        told = await stage.ask(GetProviders(KEY, 0))
        assert len(providers_in(told)) == (not attacks)
        if attacks:
            with pytest.raises(DhtstoreError):
                await got(stage, stored.cid)
        else:
            assert await got(stage, stored.cid) == b"data" * 5000

    play("forget", story, nodes=3)


def test_forge_presents_three_wrong_signatures_and_each_is_refused() -> None:
    async def story(stage: Stage) -> None:
        asker, network = stage.honest[0], stage.adversary.settings.network
        victim = stage.honest[1].crypto.node.public_key
        await stage.ask(add(stage.pair_of(stage.honest[1], KEY)))
        await stage.attack()
        signatures = set()
        for _ in range(10):
            for record in providers_in(await stage.ask(GetProviders(KEY, 0))):
                assert record.public_key == victim
                with pytest.raises(InvalidSignature):
                    check(record, network, asker.crypto)
                signatures.add(record.signature)
        assert bytes(64) in signatures, "none at all"
        assert len(signatures) > 2, "others' of other things, and its own"
        await asyncio.sleep(3600)
        refused = stage.world.attack.gang.refused
        assert refused["forge: bad signature"] > 10
        assert refused.keys() == {"forge: bad signature"}
        for one in stage.honest:
            for held in one.running.dht.records():
                check(held.record, network, asker.crypto)
        found = await asker.running.dht.find_providers(KEY, wanted=20, timeout_s=15)
        assert {each.record.signer for each in found.providers} <= {victim}

    play("forge", story)
