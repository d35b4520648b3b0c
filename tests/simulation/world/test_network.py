"""Datagrams of the simulated network: latency, loss, partitions, crashes, the trace."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from dhtstore.errors import AddressInUse
from dhtstore.model.contact import Address
from dhtstore.params import DATAGRAM_MAX_BYTES
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency, UniformLatency
from simulations.world.network.network import SimNetwork
from simulations.world.trace import Trace

A, B, C = (Address(f"10.0.0.{n}", 7400) for n in (1, 2, 3))
Received = list[tuple[float, bytes, Address]]


def world(loss: float = 0.0, seed: int = 1) -> tuple[VirtualLoop, SimNetwork]:
    loop = VirtualLoop()
    return loop, SimNetwork(loop, random.Random(seed), FixedLatency(0.1), loss=loss)


def receiver(loop: VirtualLoop, seen: Received) -> Callable[[bytes, Address], None]:
    return lambda data, source: seen.append((loop.time(), data, source))


def play(scene: Callable[[VirtualLoop, SimNetwork, Received], Awaitable[None]]) -> Received:
    loop, network = world()
    seen: Received = []

    async def main() -> None:
        await scene(loop, network, seen)
        await asyncio.sleep(10)

    run(main(), loop)
    return seen


def test_a_datagram_arrives_after_the_latency_never_inline() -> None:
    async def scene(loop: VirtualLoop, network: SimNetwork, seen: Received) -> None:
        a, b = network.endpoint(A), network.endpoint(B)
        await a.open(receiver(loop, []), Supervisor())
        await b.open(receiver(loop, seen), Supervisor())
        assert a.send(b"hello", B)
        assert a.send(b"self", A)
        assert seen == []

    assert play(scene) == [(0.1, b"hello", A)]


def test_what_cannot_be_sent_is_refused() -> None:
    async def scene(loop: VirtualLoop, network: SimNetwork, seen: Received) -> None:
        a = network.endpoint(A)
        assert not a.send(b"not open yet", B)
        await a.open(receiver(loop, seen), Supervisor())
        assert not a.send(b"other family", Address("::1", 7400))
        assert not a.send(b"no port", Address("10.0.0.2", 0))
        assert not a.send(b"no host", Address("nowhere", 1))
        assert not a.send(bytes(DATAGRAM_MAX_BYTES + 1), B)
        assert not a.send(b"", B)
        assert a.send(b"to nobody", C)
        with pytest.raises(AddressInUse):
            await network.endpoint(A).open(receiver(loop, seen), Supervisor())
        await a.close()
        assert not a.send(b"closed", B)
        await network.endpoint(A).open(receiver(loop, seen), Supervisor())

    assert play(scene) == []


def test_port_0_picks_different_ports() -> None:
    async def scene(loop: VirtualLoop, network: SimNetwork, seen: Received) -> None:
        a, b = (network.endpoint(Address("127.0.0.1", 0)) for _ in range(2))
        await a.open(receiver(loop, []), Supervisor())
        await b.open(receiver(loop, seen), Supervisor())
        assert 0 < a.local.port != b.local.port > 0
        assert a.send(b"hi", b.local)

    assert len(play(scene)) == 1


def test_partitions_cut_also_what_travels_and_heal() -> None:
    async def scene(loop: VirtualLoop, network: SimNetwork, seen: Received) -> None:
        a, b, c = (network.endpoint(address) for address in (A, B, C))
        for endpoint in (a, b, c):
            await endpoint.open(receiver(loop, seen), Supervisor())
        a.send(b"travelling", B)
        network.partition([[A, C]])
        a.send(b"cut", B)
        a.send(b"together", C)
        await asyncio.sleep(1)
        network.heal()
        a.send(b"healed", B)

    assert [data for _, data, _ in play(scene)] == [b"together", b"healed"]


def test_a_crashed_machine_neither_hears_nor_speaks_and_can_come_back() -> None:
    async def scene(loop: VirtualLoop, network: SimNetwork, seen: Received) -> None:
        a, b = network.endpoint(A), network.endpoint(B)
        await a.open(receiver(loop, []), Supervisor())
        await b.open(receiver(loop, seen), Supervisor())
        network.crash(B)
        a.send(b"lost", B)
        assert not b.send(b"from the dead", A)
        await asyncio.sleep(1)
        again = network.endpoint(B)
        await again.open(receiver(loop, seen), Supervisor())
        await b.close()  # the old one must not unbind the new one
        a.send(b"heard", B)

    assert [data for _, data, _ in play(scene)] == [b"heard"]


def test_loss_is_about_the_rate_asked_for() -> None:
    loop, network = world(loss=0.2)
    seen: Received = []

    async def main() -> None:
        a, b = network.endpoint(A), network.endpoint(B)
        await a.open(receiver(loop, []), Supervisor())
        await b.open(receiver(loop, seen), Supervisor())
        for _ in range(5000):
            a.send(b"x", B)
        await asyncio.sleep(1)

    run(main(), loop)
    assert len(seen) == pytest.approx(4000, abs=150)  # five standard deviations


def test_latency_is_fixed_per_pair_symmetric_and_within_bounds() -> None:
    latency = UniformLatency(seed=7, low_s=0.02, high_s=0.15)
    places = [latency.place(Address(f"10.0.{n // 250}.{n % 250}", 1)) for n in range(200)]
    drawn = [latency.one_way_s(a, b) for a in places for b in places]
    assert all(0.02 <= one_way_s <= 0.15 for one_way_s in drawn)
    assert drawn == [latency.one_way_s(b, a) for a in places for b in places]
    assert sum(drawn) / len(drawn) == pytest.approx(0.085, rel=0.02)
    assert UniformLatency(8, 0.02, 0.15).one_way_s(places[0], places[1]) != drawn[1]


def digest(seed: int, extra: bytes = b"") -> tuple[str, int]:
    loop = VirtualLoop()
    trace = Trace()
    loop.on_timer = trace.timer
    latency = UniformLatency(seed, 0.01, 0.1)
    network = SimNetwork(loop, random.Random(seed), latency, loss=0.1, jitter=0.1, trace=trace)
    addresses = [Address(f"10.0.0.{n}", 7400) for n in range(1, 30)]
    choose = random.Random(seed)

    async def main() -> None:
        endpoints = [network.endpoint(address) for address in addresses]

        for endpoint in endpoints:
            send = endpoint.send

            def reply(
                data: bytes, source: Address, send: Callable[[bytes, Address], bool] = send
            ) -> None:
                if len(data) > 1:
                    send(data[1:], source)

            await endpoint.open(reply, Supervisor())
        for _ in range(200):
            choose.choice(endpoints).send(choose.randbytes(9) + extra, choose.choice(addresses))
            await asyncio.sleep(0.01)

    run(main(), loop)
    return trace.hexdigest(), trace.entries


def test_one_seed_gives_one_digest_and_any_change_another() -> None:
    assert digest(1) == digest(1)
    assert digest(1)[1] > 500
    assert digest(1)[0] != digest(2)[0]
    assert digest(1)[0] != digest(1, b"x")[0]


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    program = "from tests.simulation.world.test_network import digest; print(digest(5))"
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert printed == [str(digest(5))] * 2
