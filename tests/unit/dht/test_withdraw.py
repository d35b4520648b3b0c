"""A provider takes its record back: nobody names it any more, and no replay brings it back."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import Unreachable
from dhtstore.model.identity import dht_key
from tests.unit.dht.world import HOUR_S, Member, World, play

KEY = dht_key(b"unit")


async def named(member: Member) -> list[bytes]:
    found = await member.dht.find_providers(KEY, wanted=8, timeout_s=15)
    return [each.record.public_key for each in found.providers]


def test_what_is_withdrawn_is_named_by_nobody_and_cannot_be_replayed() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        holder, other, asker = members[1:4]
        assert await holder.provide(KEY) == 6
        await other.provide(KEY)
        old = holder.provider_record(KEY, sequence=1)
        withdrawn = await holder.dht.withdraw(KEY)
        assert withdrawn.holders == 6
        assert await named(asker) == [other.public_key]
        await asker.dht.provide(KEY, [(old, holder.contact_record())], timeout_s=15)
        assert await named(asker) == [other.public_key]
        holder.sequence += 1
        assert await holder.provide(KEY) == 6, "what is held again is announced again"
        assert sorted(await named(asker)) == sorted([holder.public_key, other.public_key])
        await asyncio.sleep(2 * HOUR_S)
        for member in members:
            member.dht.rpc.keeper.tick()
        assert [member.dht.records_held for member in members] == [0] * 6

    play(scene)


def test_nothing_is_kept_of_a_withdrawal_of_what_nobody_holds() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        withdrawn = await members[0].dht.withdraw(KEY)
        assert withdrawn.holders == 0
        assert withdrawn.refusals == {"not held": 3}
        assert [member.dht.records_held for member in members] == [0] * 4

    play(scene)


def test_a_withdrawal_that_newer_records_stand_in_the_way_of_goes_above_them() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(4)
        holder = members[0]
        await holder.provide(KEY, sequence=50)  # by a clock that was ahead
        assert (await holder.dht.withdraw(KEY)).holders == 4
        assert await named(members[1]) == []

    play(scene)


def test_what_is_being_announced_meanwhile_does_not_go_above_it() -> None:
    """What stands in its way is no record by a clock that was ahead, but our own later word."""

    async def scene(world: World) -> None:
        members = await world.grow(6)
        holder = members[1]
        await holder.provide(KEY)
        holder.sequence += 1
        pair = holder.provider_record(KEY), holder.contact_record()  # and then it takes a while
        await holder.dht.withdraw(KEY)
        [late] = await holder.dht.provide(KEY, [pair], timeout_s=15)
        assert await named(members[3]) == []
        assert late.holders == 6, "a newer one of ours"

    play(scene)


def test_who_is_cut_off_hears_that_nobody_was_told() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(2)
        await members[1].dht.stop()
        with pytest.raises(Unreachable):
            await members[0].dht.withdraw(KEY, timeout_s=15)

    play(scene)
