"""Many keys of one provider: few lookups, and each record where it would have come by itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import Unreachable
from dhtstore.model.identity import DhtKey
from dhtstore.params import K
from dhtstore.wire.datagram import UNSUPPORTED, AddProvider, AddProviders
from tests.unit.dht.world import Member, World, play


def keys_of(seed: int, count: int) -> list[DhtKey]:
    rng = random.Random(seed)
    return sorted(DhtKey(rng.randbytes(20)) for _ in range(count))


def recall(members: Sequence[Member], keys: Sequence[DhtKey]) -> float:
    """Which part of the records is at those that are really the K closest to their keys."""
    nodes = [member.dht.rpc.table.node for member in members]
    held = {(one.key, m.dht.rpc.table.node.id) for m in members for one in m.dht.records()}
    found = 0
    for key in keys:
        target = int.from_bytes(key, "big")
        closest = sorted(nodes, key=lambda node: node.long_id ^ target)[:K]
        found += sum((key, node.id) in held for node in closest)
    return found / (min(K, len(nodes)) * len(keys))


Between = Callable[[int], None]


async def sweep(
    publisher: Member, keys: Sequence[DhtKey], between: Between = lambda at: None
) -> tuple[int, list[Published]]:
    """How many lookups it took to announce them all, and what became of each."""
    lookups, told = 0, list[Published]()
    while len(told) < len(keys):
        seen = await publisher.dht.explore(keys[len(told)], timeout_s=15)
        lookups += seen.lookups
        until = len(told) + seen.covered(keys[len(told) :])
        while len(told) < until:
            between(len(told))
            some = keys[len(told) : min(len(told) + 100, until)]
            news, seen = await publisher.dht.provide_many(seen, some, timeout_s=30)
            told += news
    return lookups, told


@pytest.mark.parametrize(("loss", "nodes", "count"), [(0.0, 120, 1000), (0.03, 80, 500)])
def test_a_sweep_looks_up_regions_and_places_every_record_right(
    loss: float, nodes: int, count: int
) -> None:
    async def scene(world: World) -> None:
        members = await world.grow(nodes)
        world.net.loss = loss
        keys, kinds = keys_of(1, count), Counter[type]()
        for member in members:
            count_requests(member, kinds)
        lookups, told = await sweep(members[7], keys)
        assert lookups <= 2 * nodes / K
        assert sum(each.holders >= K - 1 for each in told) > 0.99 * count
        assert recall(members, keys) >= 0.99
        assert kinds[AddProviders] + kinds[AddProvider] < count * K / 4, "six in a datagram, mostly"
        if not loss:
            one_by_one = keys_of(2, 40)
            for key in one_by_one:
                await members[8].provide(key)
            assert recall(members, one_by_one) <= recall(members, keys) + 0.002

    play(scene)


def count_requests(member: Member, kinds: Counter[type]) -> None:
    procedures = member.dht.rpc.procedures
    respond = procedures.respond

    def counting(*args: object, **named: object) -> object:
        kinds[type(args[1])] += 1
        return respond(*args, **named)  # type: ignore[arg-type]

    procedures.respond = counting  # type: ignore[method-assign,assignment]


def test_nodes_that_die_meanwhile_cost_no_copies() -> None:
    """A fifth goes at once, when half is announced: the next closest come in their place."""

    async def scene(world: World) -> None:
        members = await world.grow(100)
        keys, dead = keys_of(3, 600), members[60:80]

        def die(at: int) -> None:
            if at >= 300:
                for member in dead:
                    member.dht.rpc.calls.close()
                    member.endpoint.send = lambda data, to: False  # type: ignore[method-assign]

        _, told = await sweep(members[7], keys, die)
        assert all(each.holders >= K for each in told)
        alive = [member for member in members if member not in dead]
        assert recall(alive, keys[400:]) >= 0.99

    play(scene)


def test_the_publisher_itself_comes_in_the_place_of_a_silent_one() -> None:
    """Which it keeps here, as what is here from the beginning."""

    async def scene(world: World) -> None:
        members = await world.grow(K + 4)
        publisher, dead, keys = members[3], members[8:12], keys_of(12, 40)
        seen = await publisher.dht.explore(keys[0], timeout_s=15)
        for member in dead:
            world.net.crash(member.address)
        told, _ = await publisher.dht.provide_many(seen, keys, timeout_s=30)
        assert {each.holders for each in told} == {K}
        assert {one.key for one in publisher.dht.records()} >= set(keys)

    play(scene)


def test_a_sweep_that_its_time_cuts_short_takes_nobody_for_gone() -> None:
    """One lost all that it was sent at first, and is asked again; then time is up."""

    async def scene(world: World) -> None:
        members = await world.grow(8)
        publisher, late, keys = members[3], members[5], keys_of(12, 20)
        seen = await publisher.dht.explore(keys[0], timeout_s=15)
        world.net.drops = lambda source, to, data: to == late.address
        began_s, timeout_s = world.loop.time(), 3.0
        _, left = await publisher.dht.provide_many(seen, keys, timeout_s=timeout_s)
        assert world.loop.time() - began_s == pytest.approx(timeout_s)
        assert late.dht.rpc.table.node.id in {node.id for node in left.nodes}
        assert len(left.nodes) == 8
        world.net.drops = None
        told, _ = await publisher.dht.provide_many(left, keys, timeout_s=30)
        assert {each.holders for each in told} == {8}

    play(scene)


def test_in_a_network_of_few_one_lookup_serves_all_keys() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(12)
        keys = keys_of(4, 300)
        lookups, told = await sweep(members[3], keys)
        assert lookups == 1
        assert {each.holders for each in told} == {12}
        assert recall(members, keys) == 1.0

    play(scene)


def test_who_does_not_know_several_at_once_is_told_one_by_one() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        old = members[5].dht.rpc.procedures
        respond = old.respond

        def respond_as_before(*args: object, **named: object) -> object:
            if isinstance(args[1], AddProviders):
                return UNSUPPORTED
            return respond(*args, **named)  # type: ignore[arg-type]

        old.respond = respond_as_before  # type: ignore[method-assign,assignment]
        keys = keys_of(5, 20)
        _, told = await sweep(members[3], keys)
        assert {each.holders for each in told} == {8}
        assert len(members[5].dht.records()) >= 20

    play(scene)


def test_newer_records_of_ours_are_outrun() -> None:
    """As of a disk that was restored: what others hold was signed with higher sequences."""

    async def scene(world: World) -> None:
        members = await world.grow(6)
        publisher, keys = members[2], keys_of(6, 30)
        await sweep(publisher, keys)
        publisher.sequence = 500
        for key in keys[:3]:
            await publisher.provide(key)
        publisher.sequence = 2
        _, told = await sweep(publisher, keys)
        assert publisher.sequence > 500
        assert {each.holders for each in told} == {6}
        newest = [one.record.sequence for one in members[4].dht.records() if one.key in keys[:3]]
        assert min(newest) > 500

    play(scene)


def test_what_was_withdrawn_stays_so_beside_a_sweep() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(6)
        publisher, keys = members[2], keys_of(7, 30)
        await sweep(publisher, keys)
        publisher.sequence += 1
        await publisher.dht.withdraw(keys[4])
        publisher.sequence += 1
        await sweep(publisher, [*keys[:4], *keys[5:]])
        found = await members[5].dht.find_providers(keys[4], wanted=1, timeout_s=15)
        assert found.providers == []

    play(scene)


def test_nobody_there_is_told_as_such() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(3)
        for member in members[1:]:
            await member.dht.stop()
        with pytest.raises(Unreachable):
            await members[0].dht.explore(keys_of(8, 1)[0], timeout_s=15)

    play(scene)


def test_a_region_of_nobody_keeps_records_here() -> None:
    async def scene(world: World) -> None:
        [alone] = await world.grow(1)
        keys = keys_of(9, 3)
        seen = await alone.dht.explore(keys[0], timeout_s=15)
        assert seen.lookups == 1
        told, _ = await alone.dht.provide_many(seen, keys, timeout_s=15)
        assert [each.holders for each in told] == [1, 1, 1]

    play(scene)
