"""Simulated streams held against what is published of TCP.

Sources: RFC 6928 (ten segments at first), RFC 5681 (they double each round trip), Mathis et al.
1997 and RFC 8312 section 5.1 (rate under loss), RFC 9293 (flow control), RFC 6298 (time-outs).
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Stream
from dhtstore.params import KIB, MIB
from dhtstore.tasks import Supervisor
from simulations.validation.findings import Finding
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.congestion import CONGESTIONS, INITIAL_BYTES, SEGMENT_BYTES
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.streams import SimStreams
from simulations.world.network.ways import BUFFER_BYTES

_NEAR, _FAR = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
_PIECE_BYTES = 64 * KIB
_LOSSES_SEEN = 400  # packets lost in a measurement of loss


@dataclass(frozen=True, slots=True)
class StreamPath:
    """Between two machines that nobody else uses."""

    round_trip_s: float
    loss: float = 0.0
    up_bytes_per_s: float | None = None
    down_bytes_per_s: float | None = None
    congestion: str = "cubic"


@dataclass(frozen=True, slots=True)
class Transfer:
    """``lasted_s``: from the first byte written until the last was read; ``bytes_per_s``: over its
    last three quarters, when it no longer starts."""

    lasted_s: float
    bytes_per_s: float


def measure(path: StreamPath, size_bytes: int, seed: int) -> Transfer:
    """Send so much over one stream."""
    loop = VirtualLoop()
    network = SimNetwork(loop, random.Random(seed), FixedLatency(path.round_trip_s / 2))
    network.congestion = CONGESTIONS[path.congestion]
    streams = SimStreams(network)
    near = streams.transport(_NEAR, PublicKey(bytes(32)))
    far = streams.transport(_FAR, PublicKey(bytes(31) + b"1"))
    read_s: list[tuple[int, float]] = []

    async def serve(stream: Stream) -> None:
        taken, buffer = 0, memoryview(bytearray(_PIECE_BYTES))
        while taken < size_bytes:
            count = min(_PIECE_BYTES, size_bytes - taken)
            await stream.read_into(buffer[:count])
            taken += count
            read_s.append((taken, loop.time()))
        done.set_result(None)

    async def main() -> float:
        await far.listen(_FAR.port, serve, Supervisor())
        stream = await near.dial(_FAR, None, 60.0)
        network.loss = path.loss
        network.machine(_NEAR).up_bytes_per_s = path.up_bytes_per_s
        network.machine(_FAR).down_bytes_per_s = path.down_bytes_per_s
        begun_s = loop.time()
        for first in range(0, size_bytes, _PIECE_BYTES):
            await stream.write(bytes(min(_PIECE_BYTES, size_bytes - first)))
        await done
        await asyncio.sleep(0)
        await near.close()
        await far.close()
        return begun_s

    done: asyncio.Future[None] = loop.create_future()
    begun_s = run(main(), loop)
    end_s = read_s[-1][1]
    taken, first_s = next(each for each in read_s if each[0] >= size_bytes / 4)
    rate = (size_bytes - taken) / (end_s - first_s) if end_s > first_s else math.inf
    return Transfer(end_s - begun_s, rate)


# --- what is published ----------------------------------------------------------------------


def expected_cubic(round_trip_s: float, loss: float) -> float:
    """Bytes a second of CUBIC under random loss: the larger of its two regions."""
    reno = math.sqrt(1.5 / loss) * SEGMENT_BYTES / round_trip_s
    cubic = 1.054 * SEGMENT_BYTES / (math.pow(round_trip_s, 0.25) * math.pow(loss, 0.75))
    return max(reno, cubic)


def expected_slow_start_s(round_trip_s: float, size_bytes: int) -> float:
    """Until so much has arrived, without loss or limits."""
    rounds = math.ceil(math.log2(size_bytes / INITIAL_BYTES + 1))
    return round_trip_s * (rounds - 0.5)


# --- beside each other ----------------------------------------------------------------------

_LINE = 100e6 / 8
_BOUND = 0.2


def validate(seed: int) -> list[Finding]:
    """Each condition of a stream, beside its formula."""
    return [*_starts(seed), *_under_loss(seed), *_limits(seed)]


def _starts(seed: int) -> Iterator[Finding]:
    for round_trip_s, size_bytes in ((0.05, 2**20), (0.2, 2**18)):
        name = f"slow start: {size_bytes // KIB} KiB at {1000 * round_trip_s:.0f} ms, s"
        took_s = measure(StreamPath(round_trip_s), size_bytes, seed).lasted_s
        yield _row(name, took_s, expected_slow_start_s(round_trip_s, size_bytes), "RFC 5681, 6928")


def _under_loss(seed: int) -> Iterator[Finding]:
    for loss, round_trip_s in ((0.02, 0.1), (0.01, 0.02), (0.003, 0.1), (0.001, 0.05)):
        name = f"CUBIC, {100 * loss:g} % lost at {1000 * round_trip_s:.0f} ms, kB/s"
        size_bytes = int(_LOSSES_SEEN / loss) * SEGMENT_BYTES
        rate = measure(StreamPath(round_trip_s, loss), size_bytes, seed).bytes_per_s
        source = "Mathis et al. 1997; RFC 8312"
        yield _row(name, rate / 1000, expected_cubic(round_trip_s, loss) / 1000, source)
    for loss in (0.0, 0.01, 0.05):
        path = StreamPath(0.05, loss, _LINE, congestion="bbr")
        rate = measure(path, 64 * MIB, seed).bytes_per_s
        name = f"BBR on 100 Mbit/s, {100 * loss:g} % lost at 50 ms, MB/s"
        yield _row(name, rate / 1e6, (1 - loss) * _LINE / 1e6, "Cardwell et al. 2016")


def _limits(seed: int) -> Iterator[Finding]:
    rate = measure(StreamPath(0.4), 64 * MIB, seed).bytes_per_s
    expected = BUFFER_BYTES / 0.4
    yield _row("window of 4 MiB at 400 ms, MB/s", rate / 1e6, expected / 1e6, "RFC 9293")
    rate = measure(StreamPath(0.05, down_bytes_per_s=_LINE / 10), 32 * MIB, seed).bytes_per_s
    yield _row("downlink of 10 Mbit/s, MB/s", rate / 1e6, _LINE / 1e7, "its rate")


def _row(name: str, measured: float, expected: float, source: str) -> Finding:
    return Finding.within(name, measured, expected, _BOUND, source)
