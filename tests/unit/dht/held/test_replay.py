"""What was taken back, or is nearly over, does not come back: not by a replay, not when a network
that was split is one again."""

from __future__ import annotations

import asyncio

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.model.identity import dht_key
from tests.unit.dht.world import HOUR_S, Member, World, play

KEY = dht_key(b"unit")
TTL_S = 48 * HOUR_S


async def named(member: Member) -> list[bytes]:
    found = await member.dht.find_providers(KEY, wanted=8, timeout_s=15)
    return [each.record.public_key for each in found.providers]


def kept(members: list[Member]) -> int:
    for member in members:
        member.dht.rpc.keeper.tick()
    return sum(member.dht.records_held for member in members)


def test_a_record_replayed_at_hour_46_gives_it_no_new_life() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(5)
        holder, attacker = members[1:3]
        old = holder.provider_record(KEY, lifetime_s=TTL_S)
        contact = holder.contact_record(lifetime_s=TTL_S)
        await holder.provide(KEY, lifetime_s=TTL_S, contact_s=TTL_S)
        await asyncio.sleep(46 * HOUR_S)
        newcomers = await world.grow(3)
        await attacker.dht.provide(KEY, [(old, contact)], timeout_s=15)
        assert kept(newcomers) == 3, "it is in time for two hours more"
        await asyncio.sleep(2 * HOUR_S + 60)
        assert kept(world.members) == 0
        assert await named(attacker) == []
        await attacker.dht.provide(KEY, [(old, contact)], timeout_s=15)
        assert kept(world.members) == 0

    play(scene)


def test_what_was_withdrawn_while_the_network_was_split_does_not_come_back_when_it_heals() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        holder, asker = members[0], members[11]
        other = members[1]
        await holder.provide(KEY, lifetime_s=TTL_S, contact_s=TTL_S)
        await other.provide(KEY, lifetime_s=TTL_S, contact_s=TTL_S)
        world.net.partition([[m.address for m in members[:6]], [m.address for m in members[6:]]])
        withdrawn = await holder.dht.withdraw(KEY)
        assert 0 < withdrawn.holders < 12
        await asyncio.sleep(600)
        world.net.heal()
        await asyncio.sleep(2 * HOUR_S)
        assert await named(asker) == [other.public_key]
        await asyncio.sleep(60)
        left = [m for m in members if len(m.dht.rpc.keeper.providers(KEY)) != 1]
        assert left == [], "whoever still named it was told of the withdrawal"

    play(scene)


def test_a_replay_to_one_that_never_heard_of_a_withdrawal_is_not_believed() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        holder, attacker, asker = members[1:4]
        old = holder.provider_record(KEY, lifetime_s=TTL_S)
        await holder.provide(KEY, lifetime_s=TTL_S, contact_s=TTL_S)
        await holder.dht.withdraw(KEY)
        newcomer = (await world.grow(1))[0]
        pair = (old, holder.contact_record(lifetime_s=TTL_S))
        await attacker.dht.provide(KEY, [pair], timeout_s=15)
        assert len(newcomer.dht.rpc.keeper.providers(KEY)) == 1
        assert await named(asker) == []
        await asyncio.sleep(60)
        assert newcomer.dht.rpc.keeper.providers(KEY) == []

    play(scene)


def test_a_clock_that_is_behind_after_a_start_costs_no_record_and_no_withdrawal() -> None:
    """All that was kept looked as if it were issued ahead of time, and was thrown away: what had
    been taken back could be brought again once the clock was right."""

    async def scene(world: World) -> None:
        index, lasting, over = await world.grow(3)
        index.dht.shelf.begin(lambda: None)
        old, contact = over.provider_record(KEY), over.contact_record()
        for holder in (lasting, over):
            pair = (holder.provider_record(KEY), holder.contact_record())
            await index.dht.provide(KEY, [pair], timeout_s=15)
        withdrawal = over.withdrawal(KEY)
        await index.dht.provide(KEY, [(withdrawal, contact)], timeout_s=15)
        written = index.dht.shelf.changes(99)
        for member in (index, lasting, over):
            world.net.crash(member.address)
        restarted = world.add()
        await restarted.dht.start()
        restarted.clock.skew_s = -24.0 * HOUR_S
        assert all(restarted.dht.shelf.put_back(each) for each in written.values() if each)
        restarted.clock.skew_s = 0.0
        keeper = restarted.dht.rpc.keeper
        keeper.tick()
        assert [each.public_key for each in keeper.providers(KEY)] == [lasting.public_key]
        assert keeper.keep(old) is Verdict.HELD_NEWER
        await asyncio.sleep(HOUR_S + 60)
        keeper.tick()
        assert [each.record for each in keeper.held()] == [withdrawal], "nothing else lasts longer"
        await asyncio.sleep(TTL_S)
        keeper.tick()
        assert keeper.held() == []

    play(scene)
