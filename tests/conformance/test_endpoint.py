"""What every Endpoint keeps to: a real UDP socket on loopback and a simulated one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address
from dhtstore.net.ports import Endpoint
from dhtstore.net.udp import UdpEndpoint
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork

Make = Callable[[Address], Endpoint]
Scene = Callable[[Make], Awaitable[None]]
ANY_PORT = Address("127.0.0.1", 0)


def _real(scene: Scene) -> None:
    asyncio.run(_awaited(scene(lambda address: UdpEndpoint(*address))))


def _simulated(scene: Scene) -> None:
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(1), FixedLatency(0.01))
    run(_awaited(scene(network.endpoint)), loop)


async def _awaited(scene: Awaitable[None]) -> None:
    async with asyncio.timeout(20):
        await scene


@pytest.fixture(params=[_real, _simulated], ids=["udp", "simulated"])
def play(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    player: Callable[[Scene], None] = request.param
    return player


class Inbox:
    """Collects datagrams; ``get`` waits for the next."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()

    def __call__(self, data: bytes, source: Address) -> None:
        self._queue.put_nowait((data, source))

    async def get(self) -> tuple[bytes, Address]:
        return await self._queue.get()


async def _pair(make: Make) -> tuple[Endpoint, Endpoint, Inbox]:
    a, b, inbox = make(ANY_PORT), make(ANY_PORT), Inbox()
    await a.open(Inbox(), Supervisor())
    await b.open(inbox, Supervisor())
    return a, b, inbox


def test_a_datagram_arrives_whole_with_its_source(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, inbox = await _pair(make)
        for data in (b"x", bytes(range(256)), bytes(DATAGRAM_MAX_BYTES)):
            assert a.send(data, b.local)
            assert await inbox.get() == (data, a.local)
        await a.close()
        await b.close()

    play(scene)


def test_port_0_becomes_a_real_port(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, _ = await _pair(make)
        assert a.local.host == "127.0.0.1"
        assert 0 < a.local.port != b.local.port > 0
        await a.close()
        await b.close()

    play(scene)


def test_a_bad_destination_is_refused_and_the_endpoint_lives(
    play: Callable[[Scene], None],
) -> None:
    async def scene(make: Make) -> None:
        a, b, inbox = await _pair(make)
        port = b.local.port
        for host, bad_port in (
            ("127.0.0.1", 0),
            ("127.0.0.1", 70000),
            ("127.0.0.1", -1),
            ("localhost", port),
            ("", port),
            ("0.0.0.0", port),
            ("224.0.0.1", port),
            ("::1", port),
        ):
            assert not a.send(b"bad", Address(host, bad_port)), (host, bad_port)
        assert not a.send(b"", b.local)
        assert not a.send(bytes(DATAGRAM_MAX_BYTES + 1), b.local)
        assert a.send(b"alive", b.local)
        assert await inbox.get() == (b"alive", a.local)
        await a.close()
        await b.close()

    play(scene)


def test_a_taken_address_is_refused(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, _ = await _pair(make)
        with pytest.raises(AddressInUse):
            await make(a.local).open(Inbox(), Supervisor())
        await a.close()
        await b.close()

    play(scene)


def test_closed_or_not_yet_open_sends_nothing(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, inbox = await _pair(make)
        assert not make(ANY_PORT).send(b"early", b.local)
        await a.close()
        assert not a.send(b"late", b.local)
        await a.close()  # twice is once
        again = make(ANY_PORT)
        await again.open(Inbox(), Supervisor())
        again.send(b"first heard", b.local)
        assert (await inbox.get())[0] == b"first heard"
        await again.close()
        await b.close()

    play(scene)


def test_a_reply_can_be_sent_from_the_callback(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, inbox = make(ANY_PORT), make(ANY_PORT), Inbox()
        await a.open(inbox, Supervisor())

        def mirror(data: bytes, source: Address) -> None:
            b.send(data[::-1], source)

        await b.open(mirror, Supervisor())
        assert a.send(b"abc", b.local)
        assert await inbox.get() == (b"cba", b.local)
        await a.close()
        await b.close()

    play(scene)


def test_many_at_once_arrive_in_order_and_none_is_lost(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        a, b, inbox = await _pair(make)
        for number in range(300):
            assert a.send(b"%d" % number, b.local)
        got = [await inbox.get() for _ in range(300)]
        assert [data for data, _ in got] == [b"%d" % number for number in range(300)]
        assert (b.behind, b.lost) == (False, 0)
        await a.close()
        await b.close()

    play(scene)


def test_nothing_is_behind_or_lost_before_it_is_open(play: Callable[[Scene], None]) -> None:
    async def scene(make: Make) -> None:
        endpoint = make(ANY_PORT)
        assert (endpoint.behind, endpoint.lost) == (False, 0)

    play(scene)
