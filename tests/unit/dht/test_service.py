"""Whole services in virtual time: joining, providing, finding, losing peers."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.dht.core.peer import peer_of
from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.engine.upkeep import Upkeep
from dhtstore.errors import ConnectionLost, Unreachable
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey, dht_key, distance, node_id
from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    MAINTENANCE_INTERVAL_S,
    PEER_FAILURES_MAX,
    K,
)
from dhtstore.wire.datagram import Ping, Pong, pack_address
from tests.unit.dht.world import HOUR_S, Member, World, play

KEY = dht_key(b"unit")


def _closest(world: World, key: bytes, count: int = K) -> list[Member]:
    return sorted(world.members, key=lambda m: distance(m.contact.node, key))[:count]


def test_a_network_of_one_keeps_and_finds_its_own_records() -> None:
    async def scene(world: World) -> None:
        (alone,) = await world.grow(1)
        assert await alone.provide(KEY) == 1
        found = (await alone.dht.find_providers(KEY, wanted=3, timeout_s=5)).providers
        assert [p.record.public_key for p in found] == [alone.crypto.node.public_key]
        assert found[0].contact is not None
        assert await alone.dht.lookup(KEY, timeout_s=5) == []

    play(scene)


def test_everybody_in_a_small_network_knows_everybody() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        await asyncio.sleep(5)
        for member in members:
            known = {contact.node for contact in member.dht.contacts()}
            assert known == {m.contact.node for m in members if m is not member}

    play(scene)


def test_lookup_finds_exactly_the_closest_in_order() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(60)
        for number in range(10):
            key = dht_key(b"%d" % number)
            asker = members[number]
            found = await asker.dht.lookup(key, timeout_s=15)
            best = [m.contact for m in _closest(world, key, K + 1) if m is not asker][:K]
            assert found == best

    play(scene)


def test_records_go_to_the_k_closest_self_included() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(50)
        assert await members[7].provide(KEY) == K
        holders = {m.address for m in members if m.dht.records_held}
        closest = {m.address for m in _closest(world, KEY)}
        assert len(holders & closest) >= K - 1, "one may be slower than nearly all others"

    play(scene)


def test_several_providers_of_one_key_are_all_found_newest_first_of_each() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(40)
        for provider in members[:12]:
            await provider.provide(KEY)
        await members[3].provide(KEY, sequence=9)
        found = (await members[-1].dht.find_providers(KEY, wanted=64, timeout_s=15)).providers
        sequences = {p.record.public_key: p.record.sequence for p in found}
        assert len(found) == len(sequences) == 12
        assert sequences[members[3].crypto.node.public_key] == 9
        assert all(p.contact and p.contact.public_key == p.record.public_key for p in found)

    play(scene)


def test_a_search_that_needs_one_provider_ends_before_the_lookup_would() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(60)
        await members[0].provide(KEY)
        outside = next(m for m in members if not m.dht.records_held)
        before = world.net.trace.entries
        assert len((await outside.dht.find_providers(KEY, wanted=1, timeout_s=15)).providers) == 1
        one = world.net.trace.entries - before
        before = world.net.trace.entries
        assert len((await outside.dht.find_providers(KEY, wanted=9, timeout_s=15)).providers) == 1
        assert one < (world.net.trace.entries - before) / 2

    play(scene)


def test_records_are_found_when_the_publisher_and_half_the_holders_are_dead() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(50)
        await members[0].provide(KEY)
        for victim in [members[0], *_closest(world, KEY)[::2]]:
            world.net.crash(victim.address)
        asker = next(m for m in members if world.net.is_open(m.address) and not m.dht.records_held)
        found = (await asker.dht.find_providers(KEY, wanted=1, timeout_s=15)).providers
        assert [p.record.public_key for p in found] == [members[0].crypto.node.public_key]

    play(scene)


def test_everything_works_with_lost_datagrams() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        assert await members[3].provide(KEY) >= K - 2
        assert (await members[9].dht.find_providers(KEY, wanted=1, timeout_s=15)).providers

    play(scene, loss=0.05)


def test_a_contact_record_is_found_and_the_newest_wins() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        moved = members[4]
        assert await moved.dht.publish_contact(15) == K
        moved.sequence = 2
        await moved.dht.publish_contact(15)
        record = await members[20].dht.find_contact(moved.contact.node, timeout_s=15)
        assert record is not None
        assert (record.public_key, record.sequence) == (moved.crypto.node.public_key, 2)
        assert await members[20].dht.find_contact(members[5].contact.node, timeout_s=15) is None

    play(scene)


def test_an_ephemeral_node_is_answered_and_never_remembered() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(10)
        await members[0].provide(KEY)
        client = world.add(ephemeral=True, storage=False)
        await client.dht.start()
        assert await client.dht.bootstrap([members[3].contact]) == 1
        assert (await client.dht.find_providers(KEY, wanted=1, timeout_s=15)).providers
        assert await client.provide(dht_key(b"other")) == 10
        assert client.dht.records_held == 0
        assert client.contact.node not in {c.node for m in members for c in m.dht.contacts()}

    play(scene)


def test_another_network_is_not_answered() -> None:
    async def scene(world: World) -> None:
        (member,) = await world.grow(1)
        stranger = world.add(network="other")
        await stranger.dht.start()
        assert await stranger.dht.bootstrap([member.contact]) == 0
        with pytest.raises(ConnectionLost):
            await stranger.dht.ping(member.contact, 3)
        assert member.dht.counters["other_network"] > 0
        assert member.dht.contacts() == []

    play(scene)


def test_ping_measures_and_tells_where_we_are_seen() -> None:
    async def scene(world: World) -> None:
        a, b = await world.grow(2)
        assert 0.04 <= await a.dht.ping(b.contact, 3) <= 0.3
        assert await a.dht.rpc.calls.call(peer_of(b.contact), Ping()) == Pong(
            pack_address(a.address), int(b.clock.unix_s())
        )
        impostor = Contact.of(PublicKey(a.crypto.owner.public_key), b.address)
        for wrong in (impostor, Contact.of(b.contact.public_key, Address("10.9.9.9", 1))):
            with pytest.raises(ConnectionLost):
                await a.dht.ping(wrong, 2)
        with pytest.raises(ConnectionLost):
            await a.dht.ping(Contact.of(b.contact.public_key, Address("0.0.0.0", 0)), 2)

    play(scene)


def test_stop_fails_what_waits_at_once() -> None:
    async def scene(world: World) -> None:
        a, b = await world.grow(2)
        world.net.crash(b.address)
        started_s = world.loop.time()
        asking = asyncio.create_task(a.dht.ping(b.contact, 60))
        await asyncio.sleep(0.01)
        await a.dht.stop()
        with pytest.raises(ConnectionLost):
            await asking
        assert world.loop.time() - started_s < 0.02
        assert a.dht.rpc.calls.in_flight == 0
        with pytest.raises(ConnectionLost):
            await a.dht.ping(b.contact, 1)

    play(scene)


def test_dead_peers_leave_the_table() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        await asyncio.sleep(5)
        world.net.crash(members[5].address)
        for number in range(4):
            await members[0].dht.lookup(dht_key(b"%d" % number), timeout_s=15)
            await asyncio.sleep(5)
        assert members[5].contact.node not in {c.node for c in members[0].dht.contacts()}

    play(scene)


def test_maintenance_that_ends_by_a_defect_is_told_to_the_owner_of_duties(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(upkeep: Upkeep) -> None:
        raise KeyError("a defect")

    async def scene(world: World) -> None:
        await world.grow(1)
        monkeypatch.setattr(Upkeep, "ping_silent", broken)
        await asyncio.sleep(MAINTENANCE_INTERVAL_S)
        assert world.failed_duties == ["dht-maintenance: KeyError('a defect')"]
        world.failed_duties.clear()

    play(scene)


def test_maintenance_expires_records_and_refreshes_quiet_buckets() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        await members[0].provide(KEY, lifetime_s=HOUR_S)
        assert members[1].dht.records_held == 1
        before = world.net.trace.entries
        await asyncio.sleep(BUCKET_REFRESH_INTERVAL_S + 2 * MAINTENANCE_INTERVAL_S)
        assert [m.dht.records_held for m in members] == [0] * 12
        assert world.net.trace.entries > before

    play(scene)


def test_an_emptied_table_is_filled_from_the_seeds_again() -> None:
    async def scene(world: World) -> None:
        a, b = await world.grow(2)
        b.dht.rpc.table.clear()
        await asyncio.sleep(2 * MAINTENANCE_INTERVAL_S)
        assert [c.node for c in b.dht.contacts()] == [a.contact.node]

    play(scene)


def test_one_seed_gives_one_run() -> None:
    async def scene(world: World) -> tuple[str, int]:
        members = await world.grow(15)
        await members[3].provide(KEY)
        await members[9].dht.find_providers(KEY, wanted=1, timeout_s=15)
        return world.net.trace.hexdigest(), world.net.trace.entries

    assert play(scene, seed=5, loss=0.05) == play(scene, seed=5, loss=0.05)
    assert play(scene, seed=5)[0] != play(scene, seed=6)[0]


def test_a_lookup_that_nobody_answers_is_told_apart_from_one_that_finds_nothing() -> None:
    async def scene(world: World) -> None:
        asker, *others = await world.grow(5)
        stranger = node_id(PublicKey(bytes(32)))
        nothing = await asker.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert nothing.providers == []
        assert nothing.extent() == "4 of 4 nodes asked answered"
        assert await asker.dht.find_contact(stranger, timeout_s=15) is None
        for other in others[1:]:
            world.net.crash(other.address)
        few = await asker.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert few.extent() == "1 of 4 nodes asked answered"
        world.net.crash(others[0].address)
        with pytest.raises(Unreachable, match=r"none of \d known nodes answered"):
            await asker.dht.find_providers(KEY, wanted=1, timeout_s=15)
        with pytest.raises(Unreachable, match=r"none of \d known nodes answered"):
            await asker.dht.find_contact(stranger, timeout_s=15)

    play(scene)


def test_a_node_whose_table_ran_empty_does_not_claim_that_nothing_exists() -> None:
    async def scene(world: World) -> None:
        first, cut_off = await world.grow(2)
        world.net.crash(first.address)
        for _ in range(PEER_FAILURES_MAX):
            with pytest.raises(Unreachable):
                await cut_off.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert cut_off.dht.contacts() == []
        with pytest.raises(Unreachable, match="any more"):
            await cut_off.dht.find_providers(KEY, wanted=1, timeout_s=15)

    play(scene)


def test_what_is_known_here_is_found_though_nobody_answers() -> None:
    async def scene(world: World) -> None:
        first, second = await world.grow(2)
        await first.provide(KEY)
        world.net.crash(first.address)
        found = await second.dht.find_providers(KEY, wanted=9, timeout_s=15)
        assert [p.record.public_key for p in found.providers] == [first.crypto.node.public_key]

    play(scene)


def test_a_network_of_one_says_that_it_is_alone() -> None:
    async def scene(world: World) -> None:
        (alone,) = await world.grow(1)
        found = await alone.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert found.extent() == "this node knows no other node"

    play(scene)


# --- what becomes of records ------------------------------------------------------------------


async def _provide_both(world: World, members: list[Member]) -> list[Published]:
    """The records of the first two, at once, by the third."""
    key = KEY
    pairs = [(each.provider_record(key), each.contact_record()) for each in members[:2]]
    return await members[2].dht.provide(key, pairs, timeout_s=15)


def test_each_record_counts_by_itself() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        members[0].clock.skew_s = 172_800.0
        ahead, right = await _provide_both(world, members)
        assert (ahead.holders, ahead.refusals) == (0, {"out of time": 7})
        assert ahead.out_of_time
        assert (right.holders, right.refusals) == (7, {"out of time": 1})  # by the wrong clock

    play(scene)


def test_a_node_that_is_ahead_does_not_count_its_own_record_as_stored() -> None:
    """It is in time by its own clock, and by that of nobody who looks for it."""

    async def scene(world: World) -> None:
        member, *_ = await world.grow(8)
        member.clock.skew_s = 20 * 60.0
        pair = (member.provider_record(KEY), member.contact_record())
        [published] = await member.dht.provide(KEY, [pair], timeout_s=15)
        assert published.holders == 0
        assert published.why_not == "out of time (7 nodes)"

    play(scene)


# --- clocks -----------------------------------------------------------------------------------


def test_a_node_learns_from_its_peers_that_its_clock_is_off() -> None:
    async def scene(world: World) -> None:
        await world.grow(8)
        late = world.add()
        late.clock.skew_s = -172_800.0
        await late.dht.start()
        assert late.dht.clock_ahead_s() is None
        await late.dht.bootstrap([world.members[0].contact])
        assert late.dht.clock_ahead_s() == pytest.approx(-172_800, abs=2)
        assert world.members[0].dht.clock_ahead_s() == pytest.approx(0, abs=2)

    play(scene)


def test_a_search_that_finds_nobody_tells_of_a_clock_that_is_off() -> None:
    async def scene(world: World) -> None:
        first, late, *_ = await world.grow(8)
        found = await first.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert found.extent() == f"{found.answered} of {found.asked} nodes asked answered"
        late.clock.skew_s = -172_800.0
        found = await late.dht.find_providers(KEY, wanted=1, timeout_s=15)
        assert found.extent().endswith("; this node's clock is 2 days behind those of most peers")

    play(scene)


def test_a_clock_that_was_set_is_compared_anew_without_asking() -> None:
    async def scene(world: World) -> None:
        first, *_ = await world.grow(4)
        first.clock.skew_s = 600.0
        assert first.dht.clock_ahead_s() == pytest.approx(600, abs=2)
        first.clock.skew_s = 0.0
        assert first.dht.clock_ahead_s() == pytest.approx(0, abs=2)

    play(scene)


def test_peers_are_asked_again_before_what_they_told_is_too_old() -> None:
    async def scene(world: World) -> None:
        first, *others = await world.grow(4)
        for other in others:
            other.clock.skew_s = 3600.0
        await asyncio.sleep(8 * HOUR_S)
        assert first.dht.clock_ahead_s() == pytest.approx(-3600, abs=2)

    play(scene)
