"""Bad networks: duplicates, reordering, small MTUs, thin and slow links, NATs, chosen drops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Stream
from dhtstore.params import MIB
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.endpoint import SimEndpoint
from simulations.world.network.latency import FixedLatency
from simulations.world.network.machine import NAT_MAPPING_S
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams

A, B = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
Scene = Callable[["Bad"], Awaitable[None]]


class Bad:
    """Two machines 0.1 s apart on a network with the given conditions."""

    def __init__(self, **conditions: float) -> None:
        self.loop = VirtualLoop()
        self.network = SimNetwork(
            self.loop,
            random.Random(1),
            FixedLatency(0.1),
            duplicate=conditions.pop("duplicate", 0.0),
            reorder=conditions.pop("reorder", 0.0),
            mtu_bytes=int(conditions.pop("mtu_bytes", 1200)),
        )
        assert not conditions
        self.seen: list[tuple[float, bytes]] = []

    async def endpoint(self, address: Address) -> SimEndpoint:
        endpoint = self.network.endpoint(address)
        await endpoint.open(
            lambda data, source: self.seen.append((self.loop.time(), data)), Supervisor()
        )
        return endpoint


def play(scene: Scene, **conditions: float) -> list[tuple[float, bytes]]:
    bad = Bad(**conditions)

    async def main() -> None:
        await scene(bad)
        await asyncio.sleep(1000)

    run(main(), bad.loop)
    return bad.seen


async def send_numbers(bad: Bad) -> None:
    a, _ = await bad.endpoint(A), await bad.endpoint(B)
    for number in range(100):
        a.send(bytes([number]), B)
        await asyncio.sleep(0.01)


def test_duplicates_arrive_twice() -> None:
    assert 110 < len(play(send_numbers, duplicate=0.3)) < 150


def test_reordering_changes_the_order_and_loses_nothing() -> None:
    seen = [data for _, data in play(send_numbers, reorder=0.3)]
    assert seen != sorted(seen)
    assert sorted(seen) == [bytes([number]) for number in range(100)]


def test_datagrams_above_the_mtu_vanish() -> None:
    async def scene(bad: Bad) -> None:
        a, _ = await bad.endpoint(A), await bad.endpoint(B)
        assert a.send(bytes(601), B)
        assert a.send(bytes(600), B)

    assert [len(data) for _, data in play(scene, mtu_bytes=600)] == [600]


def test_an_uplink_queues_then_refuses() -> None:
    async def scene(bad: Bad) -> None:
        a, _ = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.machine(A).up_bytes_per_s = 1000.0
        accepted = [a.send(bytes(100), B) for _ in range(300)]
        assert accepted == [True] * 241 + [False] * 59  # one is on its way

    seen = play(scene)
    assert [at_s for at_s, _ in seen] == pytest.approx([0.1 * n + 0.2 for n in range(241)])


def test_a_downlink_queues_then_drops() -> None:
    async def scene(bad: Bad) -> None:
        a, _ = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.machine(B).down_bytes_per_s = 1000.0
        assert all(a.send(bytes(100), B) for _ in range(300))

    assert len(play(scene)) == 241


def test_slow_links_multiply_the_latency() -> None:
    async def scene(bad: Bad) -> None:
        a, _ = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.machine(B).slowness = 10.0
        a.send(b"x", B)

    assert [at_s for at_s, _ in play(scene)] == pytest.approx([1.0])


def test_a_nat_lets_in_only_answers_for_a_while() -> None:
    async def scene(bad: Bad) -> None:
        a, b = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.machine(B).hide()
        a.send(b"unasked", B)
        await asyncio.sleep(1)
        b.send(b"question", A)
        await asyncio.sleep(1)
        a.send(b"answer", B)
        await asyncio.sleep(NAT_MAPPING_S)
        a.send(b"too late", B)

    assert [data for _, data in play(scene)] == [b"question", b"answer"]


def test_behind_a_nat_one_can_dial_but_not_be_dialled() -> None:
    async def serve(stream: Stream) -> None:
        await stream.write(b"welcome")
        await asyncio.sleep(1)

    async def scene(bad: Bad) -> None:
        streams = SimStreams(bad.network)
        a = streams.transport(A, PublicKey(b"a" * 32))
        b = streams.transport(B, PublicKey(b"b" * 32))
        for transport, address in ((a, A), (b, B)):
            await transport.listen(address.port, serve, Supervisor())
        bad.network.machine(B).hide()
        with pytest.raises(ConnectionLost, match="did not answer"):
            await a.dial(B, None, 5.0)
        assert await (await b.dial(A, None, 5.0)).read_exactly(7) == b"welcome"

    play(scene)


def test_chosen_datagrams_are_dropped() -> None:
    async def scene(bad: Bad) -> None:
        a, _ = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.drops = lambda source, target, data: data.startswith(b"find")
        a.send(b"find", B)
        a.send(b"ping", B)

    assert [data for _, data in play(scene)] == [b"ping"]


def test_traffic_is_counted_per_machine() -> None:
    bad = Bad()

    async def main() -> None:
        await send_numbers(bad)
        await asyncio.sleep(1)

    run(main(), bad.loop)
    a, b = bad.network.machine(A), bad.network.machine(B)
    assert (a.sent_datagrams, a.sent_bytes, b.received_bytes) == (100, 100, 100)
    assert bad.network.sent_datagrams == 100


def test_a_way_is_blocked_for_datagrams_in_one_direction() -> None:
    async def scene(bad: Bad) -> None:
        a, b = await bad.endpoint(A), await bad.endpoint(B)
        bad.network.block(A, B, streams=False)
        a.send(b"there", B)
        b.send(b"back", A)
        await asyncio.sleep(1)
        bad.network.unblock(A, B, streams=False)
        a.send(b"again", B)

    assert [data for _, data in play(scene)] == [b"back", b"again"]


def test_a_stream_needs_both_directions_and_goes_on_when_they_are_open() -> None:
    async def serve(stream: Stream) -> None:
        served.append(stream)
        await asyncio.sleep(900)

    async def scene(bad: Bad) -> None:
        streams = SimStreams(bad.network)
        a = streams.transport(A, PublicKey(b"a" * 32))
        b = streams.transport(B, PublicKey(b"b" * 32))
        for transport, address in ((a, A), (b, B)):
            await transport.listen(address.port, serve, Supervisor())
        near = await a.dial(B, None, 5.0)
        await asyncio.sleep(1)
        bad.network.block(A, B, datagrams=False)
        for one, other in ((a, B), (b, A)):
            with pytest.raises(ConnectionLost, match="did not answer"):
                await one.dial(other, None, 5.0)
        there = asyncio.ensure_future(served[0].read_exactly(1))
        await near.write(b"x")
        back = asyncio.ensure_future(_send(served[0]))
        await asyncio.sleep(100)
        assert near.received_bytes == 14_600, "the first window: nobody says that it arrived"
        assert not there.done()
        assert not back.done()
        bad.network.unblock(A, B, datagrams=False)
        assert await there == b"x"
        assert len(await near.read_exactly(8 * MIB)) == 8 * MIB
        await back

    served: list[Stream] = []
    play(scene)


async def _send(stream: Stream) -> None:
    await stream.write(bytes(8 * MIB))
