"""A publisher behind a thin line: it sends no more than the line carries."""

from __future__ import annotations

import asyncio

from dhtstore.dht.engine.crawl import RequestBatch, within
from dhtstore.params import KIB
from dhtstore.wire.datagram import Ping
from tests.unit.dht.sweeping.test_sweeper import keys_of, recall, sweep
from tests.unit.dht.world import Member, World, play

LINE_BYTES_PER_S = 32 * KIB


def line_of(world: World, member: Member) -> float:
    """What its line did not carry, in bytes."""
    line = world.net.machine(member.address).up
    assert line is not None
    return line.dropped_bytes


def test_less_is_sent_at_once_where_much_gets_lost() -> None:
    """32 requests at once with records of six keys each are more than the line's queue holds."""

    async def scene(world: World) -> None:
        members = await world.grow(40)
        publisher, keys = members[3], keys_of(2, 800)
        world.net.machine(publisher.address).up_bytes_per_s = LINE_BYTES_PER_S
        began_s, flow = world.loop.time(), publisher.dht.rpc.channel.flow
        before = flow.bytes_out
        await sweep(publisher, keys)
        sent, lost = flow.bytes_out - before, line_of(world, publisher)
        assert lost < sent / 8, "it was 23 % before"
        assert recall(members, keys) > 0.98
        assert world.loop.time() - began_s < 104
        assert publisher.dht.rpc.calls.window.limit < 32

        world.net.machine(publisher.address).up_bytes_per_s = None
        narrow = publisher.dht.rpc.calls.window.limit
        await sweep(publisher, keys_of(3, 800))
        assert publisher.dht.rpc.calls.window.limit > 2 * narrow, "and more once it may"

    play(scene)


def test_those_who_are_dead_are_no_sign_of_a_thin_line() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(60)
        for member in members[20:44]:
            world.net.crash(member.address)
        before = members[3].dht.rpc.calls.window.limit
        for key in keys_of(4, 12):
            assert await members[3].dht.lookup(key, timeout_s=15)
        assert members[3].dht.counters["retransmitted"] > 10
        assert members[3].dht.rpc.calls.window.limit == before

    play(scene)


def test_what_waits_for_its_turn_is_forgotten_with_its_caller_and_ended_by_a_stop() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(8)
        calls = members[3].dht.rpc.calls
        calls.window.limit = 2.0
        asking = [asyncio.create_task(members[3].dht.ping(m.contact, 9)) for m in members[4:]]
        await asyncio.sleep(0)
        assert calls.window.waiting == 2
        asking[-1].cancel()
        await asyncio.sleep(0)
        assert calls.window.waiting == 1
        assert await asyncio.gather(*asking[:-1])
        assert calls.window.out == calls.in_flight == 0
        last = [asyncio.create_task(members[3].dht.ping(m.contact, 9)) for m in members[4:]]
        await asyncio.sleep(0)
        await members[3].dht.stop()
        ends = await asyncio.gather(*last, return_exceptions=True)
        assert all(isinstance(end, Exception) for end in ends)
        assert calls.window.waiting == calls.window.out == calls.in_flight == 0

    play(scene)


def test_requests_that_wait_are_not_sent_when_nobody_wants_their_answers_any_more() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(30)
        calls = members[3].dht.rpc.calls
        calls.window.limit = 2.0
        batch = RequestBatch(calls, [(peer, Ping()) for peer in members[3].dht.rpc.table])
        assert not await within(0.01, batch)
        assert calls.window.waiting == 0
        assert calls.window.out == 2
        await members[3].dht.lookup(keys_of(5, 1)[0], timeout_s=0.01)
        assert calls.window.waiting == 0

    play(scene)
