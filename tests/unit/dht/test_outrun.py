"""A newer record of ours in the network is a reason to sign above it, and no success."""

from __future__ import annotations

from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import dht_key
from tests.unit.dht.world import Member, World, play

KEY = dht_key(b"a unit")
AHEAD = 1000


async def _published_ahead(world: World) -> tuple[Member, Member]:
    """A node whose records were signed by a clock that was ahead, and another one."""
    members = await world.grow(8)
    first, last = members[0], members[-1]
    first.sequence = AHEAD
    assert await first.dht.publish_contact(15) > 0
    assert await first.provide(KEY) > 0
    first.sequence = 1
    return first, last


async def _contact_seen(by: Member, of: Member) -> ContactRecord | None:
    return await by.dht.find_contact(of.contact.node, timeout_s=15)


def test_a_contact_record_is_signed_above_the_one_that_is_held() -> None:
    async def scene(world: World) -> None:
        first, last = await _published_ahead(world)
        assert await first.dht.publish_contact(15) == 7
        seen = await _contact_seen(last, first)
        assert seen is not None
        assert seen.sequence == AHEAD + 1

    play(scene)


def test_a_provider_record_is_signed_above_the_one_that_is_held() -> None:
    async def scene(world: World) -> None:
        first, last = await _published_ahead(world)
        assert await first.provide(KEY) == 8
        found = await last.dht.find_providers(KEY, wanted=9, timeout_s=15)
        assert [each.record.sequence for each in found.providers] == [AHEAD + 1]

    play(scene)


def test_one_that_nobody_shows_is_no_success() -> None:
    async def scene(world: World) -> None:
        first, _ = await _published_ahead(world)
        world.net.drops = lambda source, target, data: b"find_contact" in data
        assert await first.dht.publish_contact(15) == 0
        assert first.sequence == 1

    play(scene)


def test_a_newer_record_of_another_provider_is_a_success() -> None:
    async def scene(world: World) -> None:
        first, last = await _published_ahead(world)
        pair = (first.provider_record(KEY, sequence=1), first.contact_record())
        [published] = await last.dht.provide(KEY, [pair], timeout_s=15)
        assert published.holders == 8
        assert first.sequence == 1

    play(scene)
