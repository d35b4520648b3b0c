"""Strangers that stand in routing tables: dead, silent to lookups, or telling tales.

What a node believes of those it hardly knows, and what that costs its own lookups.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

import msgspec
import pytest

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.newcomers.silences import Silences
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.table import Table
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import (
    NEWCOMER_PROBE_S,
    NEWCOMERS_PER_ORIGIN_MAX,
    NEWCOMERS_SAMPLED,
    RPC_TIMEOUT_MAX_S,
    SILENT_AT_LEAST_S,
    SILENT_FOR_S,
    STANDING_S,
    K,
)
from dhtstore.wire.datagram import FindNode, FoundNodes, Ping, Pong, Request, pack_contact
from dhtstore.wire.datagram import UnknownProcedure as Unknown
from tests.unit.dht.rogue import Rogue
from tests.unit.dht.world import Member, World, play

TARGET = bytes(20)
PONG = msgspec.msgpack.encode(Pong(b"", 0))
HELD_UP_S = 1.5  # of a lookup, and by however many; the round trips of the world are below 0.3 s
_rng = random.Random(5)


def strangers(count: int, host: str = "") -> list[Peer]:
    """Each in a network of its own, unless all are at ``host``."""
    found = []
    for number in range(count):
        address = Address(host or f"92.{number >> 8}.{number & 255}.1", 7400 + number)
        found.append(peer_of(Contact.of(PublicKey(_rng.randbytes(32)), address)))
    return found


def table_of(others: Iterable[Peer]) -> Table:
    """A table that believes in ``others``."""
    own = World().add()
    table = own.dht.rpc.table
    for other in others:
        table.answered(other, 0.0)
        table.answered(other, STANDING_S)
    return table


Answer = Callable[[Request | Unknown], bytes | None]


async def met(member: Member, world: World, count: int, answer: Answer) -> list[Rogue]:
    """That many strangers answer a ping of ``member``, and then as ``answer`` says."""
    found = []
    for number in range(count):
        rogue = await Rogue(world, b"%d" % number, f"92.1.{number}.1").open()
        rogue.answer = lambda request: PONG if isinstance(request, Ping) else answer(request)
        await member.dht.ping(rogue.contact, 3)
        found.append(rogue)
    return found


async def met_the_dying(member: Member, world: World) -> None:
    """A great many that answer once."""
    for rogue in await met(member, world, 3 * K, silent):
        world.net.crash(rogue.contact.address)


async def looked_up_s(member: Member, world: World) -> float:
    started_s = world.loop.time()
    found = await member.dht.lookup(TARGET, timeout_s=60)
    assert found, "the honest ones answered"
    return world.loop.time() - started_s


def silent(request: Request | Unknown) -> bytes | None:
    return None


# --- what a table believes -----------------------------------------------------------------


def test_a_newcomer_goes_at_its_first_silence_and_who_has_stood_does_not() -> None:
    table = table_of(strangers(2))
    (newcomer,), (old, *_) = strangers(1), list(table)
    table.answered(newcomer, STANDING_S)
    assert table.failed(newcomer, STANDING_S + 1)
    assert not table.failed(old, STANDING_S + 1)
    assert newcomer not in table
    assert old in table


def test_a_pong_makes_up_for_no_silence_to_a_lookup() -> None:
    table = table_of(strangers(2))
    old = next(iter(table))
    now = STANDING_S
    for _ in range(3):
        now += 10
        table.answered(old, now, pong=True)
        gone = table.failed(old, now + 1)
    assert gone


def test_a_pong_makes_up_for_a_silence_to_pings() -> None:
    table = table_of(strangers(2))
    old = next(iter(table))
    for hour in range(1, 10):
        assert not table.failed(old, 3600.0 * hour, ping=True)
        table.answered(old, 3600.0 * hour + 10, pong=True)


def test_one_network_brings_two_newcomers_into_a_table_that_knows_others() -> None:
    table = table_of(strangers(K))
    crowd = [one for n in range(50) for one in strangers(1, f"93.1.1.{n}")]
    for number, one in enumerate(crowd):
        table.answered(one, STANDING_S + number / 10, pong=True)
    assert sum(one in table for one in crowd) == NEWCOMERS_PER_ORIGIN_MAX
    for one in crowd[:2]:
        table.answered(one, 2 * STANDING_S + 1)
    table.answered(crowd[7], 2 * STANDING_S + 2)
    assert crowd[7] in table, "those that stood the test make room for the next"


def test_our_own_network_is_no_crowd() -> None:
    table = table_of(strangers(K))
    table.crowds.set_own(["93.1.1.200"])
    lab = [one for n in range(10) for one in strangers(1, f"93.1.1.{n}")]
    for one in lab:
        table.answered(one, STANDING_S)
    assert all(one in table for one in lab)


def test_while_newcomers_live_few_are_asked_early_and_all_once_one_was_silent() -> None:
    table, young = table_of(strangers(K)), strangers(4 * NEWCOMERS_SAMPLED)
    for one in young:
        table.answered(one, 2 * STANDING_S)
    early = 2 * STANDING_S + NEWCOMER_PROBE_S
    sampled = table.newcomers.due(young, early)
    assert len(sampled) == 4
    assert not table.newcomers.due(young, early - 1)
    assert len(table.newcomers.due(young, 3 * STANDING_S)) == len(young)
    assert table.failed(sampled[0], early + 1, ping=True)
    left = [one for one in young if one in table]
    assert table.newcomers.due(left, early + 1) == left, "those that were passed over as well"
    for one in left:
        table.answered(one, early + 2, pong=True)
    assert not table.newcomers.due(left, early + 3)


def test_whoever_stands_in_the_way_of_another_is_asked_early() -> None:
    table = table_of(strangers(K))
    first, second, third = (strangers(1, f"93.1.1.{n}")[0] for n in range(3))
    for one in (first, second):
        table.answered(one, 2 * STANDING_S)
    assert not table.newcomers.in_the_way(third, 2 * STANDING_S)
    early = 2 * STANDING_S + NEWCOMER_PROBE_S
    assert table.newcomers.in_the_way(third, early) == [first, second]


# --- silences ------------------------------------------------------------------------------


def test_who_was_silent_is_asked_no_more_and_a_pong_changes_that_once() -> None:
    silences, (stranger, other) = Silences(), strangers(2)
    silences.answered(other, 0.0, pong=False)
    silences.add(stranger, 0.0)
    silences.answered(stranger, 1.0, pong=True)
    assert silences.lasts(stranger, 1.0)
    now = SILENT_AT_LEAST_S
    silences.answered(stranger, now, pong=True)
    assert not silences.lasts(stranger, now), "it may have been started again"
    silences.add(stranger, now)
    silences.answered(stranger, now + SILENT_AT_LEAST_S, pong=True)
    assert silences.lasts(stranger, now + SILENT_FOR_S - 1)
    assert not silences.lasts(stranger, now + SILENT_FOR_S)


def test_while_our_own_line_is_down_nobody_counts_as_silent() -> None:
    silences, (stranger, other) = Silences(), strangers(2)
    silences.answered(other, 0.0, pong=False)
    silences.add(stranger, 3 * RPC_TIMEOUT_MAX_S)
    assert not silences.lasts(stranger, 3 * RPC_TIMEOUT_MAX_S)


# --- lookups -------------------------------------------------------------------------------


def test_a_lookup_waits_for_those_it_relies_on_and_for_others_only_while_answers_come() -> None:
    old, *named = strangers(40)
    lookup = Lookup(TARGET, [old], own_id=b"", soft_timeout_s=0.2, relies_on=lambda one: one is old)
    assert lookup.next(0.0) == [old]
    lookup.on_response(old, named)
    now = 0.1
    while not lookup.finished:
        lookup.next(now)
        now += 0.05
    assert now <= 0.1 + 3 * 0.2
    assert lookup.result() == [old]


def test_whom_a_lookup_relies_on_is_asked_first_whoever_is_closer() -> None:
    known = sorted(strangers(3 * K), key=lambda one: one.long_id)
    old = known[-1]
    lookup = Lookup(TARGET, known, own_id=b"", soft_timeout_s=1, relies_on=lambda one: one is old)
    assert old in lookup.next(0.0)


def test_the_dead_of_a_table_hold_no_lookup_up_and_are_gone_after_it() -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await other.dht.bootstrap([one.contact])
        await met_the_dying(other, world)
        assert await looked_up_s(other, world) < HELD_UP_S
        await asyncio.sleep(5)
        assert await looked_up_s(other, world) < HELD_UP_S
        await asyncio.sleep(5)
        assert len(other.dht.contacts()) <= 2 * K

    play(scene)


def test_who_answers_pings_and_no_lookups_is_not_asked_again_and_again() -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await other.dht.bootstrap([one.contact])
        asked = list[Request | Unknown]()

        def note(request: Request | Unknown) -> None:
            asked.append(request)

        await met(other, world, K, note)
        for _ in range(10):
            await looked_up_s(other, world)
            for rogue in [c for c in other.dht.contacts() if c.address.host.startswith("92.")]:
                await other.dht.ping(rogue, 3)
            await asyncio.sleep(SILENT_FOR_S / 20)
        assert await looked_up_s(other, world) < 0.4
        assert sum(isinstance(each, FindNode) for each in asked) <= 4 * K, "twice, and repeats"

    play(scene)


@pytest.mark.parametrize("there", ["a node that answered", "nobody"])
def test_keys_named_at_one_place_hold_no_lookup_up(there: str) -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await other.dht.bootstrap([one.contact])
        place = one.address if there != "nobody" else Address("92.7.7.7", 7400)

        def naming(request: Request | Unknown) -> bytes | None:
            keys = [PublicKey(world.rng.randbytes(32)) for _ in range(22)]
            named = b"".join(pack_contact(Contact.of(key, place)) for key in keys)
            told = isinstance(request, FindNode)
            return msgspec.msgpack.encode(FoundNodes(named)) if told else None

        await met(other, world, K // 2, naming)
        before = world.net.machine(other.address).sent_datagrams
        assert await looked_up_s(other, world) < HELD_UP_S
        assert world.net.machine(other.address).sent_datagrams - before <= 2 * K
        assert other.dht.rpc.table.get(peer_of(one.contact)) is not None

    play(scene)


def test_the_key_that_answers_at_a_place_is_the_one_that_lives_there() -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await other.dht.ping(one.contact, 3)
        again = Rogue(world, b"another home", one.address.host)
        world.net.crash(one.address)
        await again.open()
        again.answer = lambda request: PONG
        admits = other.dht.rpc.calls.introductions().admits
        moved = peer_of(Contact.of(again.contact.public_key, one.address))
        assert not admits(moved), "that is what anybody may say"
        with pytest.raises(Exception, match="no answer"):
            await other.dht.ping(one.contact, 10)
        assert other.dht.rpc.calls.introductions().admits(moved)

    play(scene)


def test_records_reach_those_that_answered_however_many_are_dead() -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await other.dht.bootstrap([one.contact])
        await met_the_dying(other, world)
        started_s = world.loop.time()
        assert await other.provide(TARGET) == 2  # type: ignore[arg-type]
        assert world.loop.time() - started_s < HELD_UP_S + 1

    play(scene)


def test_of_whom_others_hear_it_is_asked_whether_they_live() -> None:
    async def scene(world: World) -> None:
        one, other = await world.grow(2)
        await met_the_dying(one, world)
        await asyncio.sleep(NEWCOMER_PROBE_S)
        before = len(one.dht.contacts())
        assert before > K
        for _ in range(3):
            await other.dht.lookup(one.contact.node, timeout_s=15)
            await asyncio.sleep(3)
        assert len(one.dht.contacts()) < before // 2

    play(scene)
