"""Index nodes ask providers whether they live, and a reader gets those that do."""

from __future__ import annotations

import asyncio
from typing import Any

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.engine.calls import OnDone, PendingCall
from dhtstore.model.identity import dht_key
from dhtstore.params import (
    PROVIDER_PONG_PAUSES,
    PROVIDER_PROBE_AT_HOUR_S,
    PROVIDER_PROBE_MAX_S,
    PROVIDER_PROBE_MIN_S,
)
from dhtstore.wire.datagram import Ping, Request
from tests.unit.dht.world import HOUR_S, Member, World, play

KEY, OTHER_KEY = dht_key(b"unit"), dht_key(b"other")
DAY_S = 24 * HOUR_S
NOTICED_S = PROVIDER_PROBE_MAX_S * 1.2 + 60


async def named(member: Member, *, silent: bool = False) -> list[bytes]:
    found = await member.dht.find_providers(KEY, wanted=8, timeout_s=15, silent=silent)
    return [each.record.public_key for each in found.providers]


async def die(member: Member) -> None:
    await member.duties.close()
    await member.dht.stop()


def test_a_provider_that_died_is_named_no_more_although_its_record_is_in_time() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        lives, dies, asker = members[1:4]
        await lives.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await dies.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(HOUR_S)
        assert sorted(await named(asker)) == sorted([lives.public_key, dies.public_key])
        await die(dies)
        await asyncio.sleep(NOTICED_S)
        assert await named(asker) == [lives.public_key]
        both = sorted([lives.public_key, dies.public_key])
        assert sorted(await named(asker, silent=True)) == both, "who asks for silent ones, too"
        for other in members:
            if other not in (dies, asker):
                assert sorted(await named(other, silent=True)) == both
        assert all(one.dht.records_held == 2 for one in members if one is not dies)

    play(scene)


def test_a_provider_that_comes_back_is_named_again_by_a_record_of_any_key() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        holder, asker = members[1:3]
        await holder.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(HOUR_S)
        world.net.sleep(holder.address, asleep=True)
        await asyncio.sleep(NOTICED_S)
        assert await named(asker) == []
        world.net.sleep(holder.address, asleep=False)
        await holder.dht.bootstrap([members[0].contact])
        await holder.provide(OTHER_KEY, lifetime_s=DAY_S)
        await asyncio.sleep(60)
        assert await named(asker) == [holder.public_key]

    play(scene)


def test_what_an_index_node_cannot_reach_is_not_dead_if_it_reaches_nobody() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        holder, cut_off = members[1:3]
        await holder.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(HOUR_S)
        world.net.sleep(cut_off.address, asleep=True)
        await asyncio.sleep(3 * HOUR_S)
        keeper = cut_off.dht.rpc.keeper
        assert [one.public_key for one in keeper.providers(KEY)] == [holder.public_key]

    play(scene)


def test_one_that_never_answered_is_still_named() -> None:
    """As one whose datagrams only some get: a record of it, brought by others, is told."""

    async def scene(world: World) -> None:
        members = await world.grow(6)
        absent = world.add()
        pair = (
            absent.provider_record(KEY, lifetime_s=DAY_S),
            absent.contact_record(lifetime_s=DAY_S),
        )
        await members[1].dht.provide(KEY, [pair], timeout_s=15)
        await asyncio.sleep(4 * HOUR_S)
        assert await named(members[2]) == [absent.public_key]

    play(scene)


def test_many_keys_of_one_provider_cost_no_more_pings_than_one() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        for number in range(50):
            await members[1].provide(dht_key(b"%d" % number), lifetime_s=DAY_S)
        before = sum(len(one.dht.rpc.keeper.lives) for one in members)
        assert before == len(members), "one provider at each"

    play(scene)


def test_who_was_heard_since_it_was_asked_is_asked_that_much_later() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        holder, index = members[1:3]
        await holder.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(4 * HOUR_S)
        asked = pings_of(index, holder)
        for ours in range(24):
            if ours == 4:  # what was due before is over
                asked.clear()
            await asyncio.sleep(PROVIDER_PROBE_MIN_S * 1.9)
            await index.dht.ping(holder.contact, 5)
        assert len(asked) == 20, "ours, and no other"

    play(scene)


def test_who_asks_us_is_asked_a_third_as_often() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)  # so many that upkeep does not hear all
        holder, index = members[1:3]
        await holder.provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(4 * HOUR_S)
        asked, pause_s = pings_of(index, holder), 2 * PROVIDER_PROBE_AT_HOUR_S
        for _ in range(4 * PROVIDER_PONG_PAUSES):
            for _ in range(4):
                await asyncio.sleep(pause_s / 4)
                await holder.dht.ping(index.contact, 5)
        assert len(asked) <= 4, "a third of twelve"

    play(scene)


def pings_of(asking: Member, asked: Member) -> list[Peer]:
    """Those to come, without those of upkeep, which are not sent again."""
    found, ask = list[Peer](), asking.dht.rpc.calls.ask

    def noting(peer: Peer, request: Request, on_done: OnDone, **named: Any) -> PendingCall:
        if (
            isinstance(request, Ping)
            and peer.id == asked.contact.node
            and named.get("attempts") != 1
        ):
            found.append(peer)
        return ask(peer, request, on_done, **named)

    asking.dht.rpc.calls.ask = noting  # type: ignore[method-assign]
    return found


def test_a_record_tells_how_long_ago_its_provider_proved_that_it_lives() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        await members[1].provide(KEY, lifetime_s=DAY_S, contact_s=DAY_S)
        await asyncio.sleep(120)
        ago_s = members[2].dht.rpc.keeper.proved_ago_s(members[1].public_key)
        assert ago_s is not None
        assert ago_s < PROVIDER_PROBE_MIN_S

    play(scene)
