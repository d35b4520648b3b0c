"""Answers that come later than they were waited for are no lost datagrams."""

from __future__ import annotations

import asyncio

from dhtstore.dht.core.peer import peer_of
from dhtstore.wire.datagram import Ping
from tests.unit.dht.world import World, play


def test_a_path_that_became_slower_is_asked_twice_a_few_times_only() -> None:
    """What was sent twice is no sample: so it was asked everything twice for ever."""

    async def scene(world: World) -> None:
        asker, other = await world.grow(2)
        for _ in range(40):
            await asker.dht.ping(other.contact, 3)
        world.net.machine(other.address).slowness = 4.0
        for _ in range(40):
            await asker.dht.ping(other.contact, 3)
        assert asker.dht.counters["late"] == asker.dht.counters["retransmitted"] < 10
        assert asker.dht.rpc.calls.rtt.patience_s == 0.0, "nothing was lost"

    play(scene)


def test_far_ones_that_are_not_remembered_are_waited_for_like_others() -> None:
    """Their answers took longer than those of nearly all who were asked, because they never counted
    among these."""

    async def scene(world: World) -> None:
        (asker,) = await world.grow(1)
        others = [world.add(ephemeral=True) for _ in range(8)]
        for other in others:
            await other.dht.start()
            world.net.machine(other.address).slowness = 1.0
        for far in others[:2]:
            world.net.machine(far.address).slowness = 5.0
        for _ in range(40):
            for other in others:
                await asker.dht.rpc.calls.call(peer_of(other.contact), Ping())
        assert asker.dht.counters["retransmitted"] < 30, "of 320"

    play(scene)


def test_a_machine_that_slept_measures_nothing() -> None:
    async def scene(world: World) -> None:
        asker, other = await world.grow(2)
        for _ in range(40):
            await asker.dht.ping(other.contact, 3)
        world.net.machine(other.address).slowness = 4.0
        calls, peer, ended = asker.dht.rpc.calls, peer_of(other.contact), asyncio.Event()
        timeout_s = calls.timing.timeout_of(peer)
        call = calls.ask(peer, Ping(), lambda *_: ended.set())
        call.sent_s -= 3600
        await ended.wait()
        await asyncio.sleep(3)
        assert asker.dht.counters["unasked"] == asker.dht.counters["retransmitted"] == 1
        assert calls.timing.timeout_of(peer) == timeout_s

    play(scene)


def test_a_second_answer_that_is_forged_tells_nothing() -> None:
    async def scene(world: World) -> None:
        asker, other = await world.grow(2)
        for _ in range(40):
            await asker.dht.ping(other.contact, 3)
        world.net.machine(other.address).slowness = 4.0
        receive, answers = asker.dht.rpc.channel.receive, list[bytes]()

        def twice(data: bytes, source: object) -> None:
            answers.append(data)
            if len(answers) % 2 == 0:
                data = data[:-1] + bytes((data[-1] ^ 1,))
            receive(data, other.address)

        asker.endpoint.on_datagram = twice
        await asker.dht.ping(other.contact, 3)
        timeout_s = asker.dht.rpc.calls.timing.timeout_of(peer_of(other.contact))
        await asker.dht.ping(other.contact, 3)
        assert asker.dht.counters["retransmitted"] >= 1
        assert asker.dht.counters["forged"] >= 1
        assert "late" not in asker.dht.counters
        assert asker.dht.rpc.calls.timing.timeout_of(peer_of(other.contact)) == timeout_s

    play(scene)
