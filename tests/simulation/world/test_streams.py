"""Streams of the simulated network: order, backpressure, bandwidth, and every way to end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from dhtstore.errors import AddressInUse, ConnectionLost, RefusedByNetwork
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Stream
from dhtstore.params import INBOUND_HANDSHAKES_MAX, MIB
from dhtstore.tasks import Supervisor
from simulations.errors import UnhandledErrors
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.latency import FixedLatency
from simulations.world.network.network import SimNetwork
from simulations.world.network.pipe import WRITE_HIGH_WATER_BYTES
from simulations.world.network.streams import SimStreams, SimStreamTransport
from simulations.world.network.ways import BUFFER_BYTES

A, B = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
BUFFERS_BYTES = 2 * BUFFER_BYTES + WRITE_HIGH_WATER_BYTES
KEY_A, KEY_B = PublicKey(b"a" * 32), PublicKey(b"b" * 32)
Scene = Callable[["Pair"], Awaitable[None]]


class Pair:
    """Two machines 0.1 s apart; B listens and keeps what it accepted."""

    def __init__(self, loss: float = 0.0) -> None:
        self.loop = VirtualLoop()
        self.network = SimNetwork(self.loop, random.Random(1), FixedLatency(0.1), loss=loss)
        self.streams = SimStreams(self.network)
        self.a = self.streams.transport(A, KEY_A)
        self.b = self.streams.transport(B, KEY_B)
        self.accepted: asyncio.Queue[Stream] = asyncio.Queue()

    async def keep(self, stream: Stream) -> None:
        self.accepted.put_nowait(stream)
        await asyncio.sleep(1e6)

    async def connect(self) -> tuple[Stream, Stream]:
        await self.b.listen(B.port, self.keep, Supervisor())
        near = await self.a.dial(B, KEY_B, 5.0)
        return near, await self.accepted.get()


def play(scene: Scene, loss: float = 0.0) -> None:
    pair = Pair(loss)

    async def main() -> None:
        await scene(pair)
        await pair.a.close()
        await pair.b.close()

    run(main(), pair.loop)


def test_a_dial_costs_two_round_trips_and_names_both_ends() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        assert pair.loop.time() == pytest.approx(0.5)  # the far end hears half a trip later
        assert (near.remote, near.remote_key) == (B, KEY_B)
        assert (far.remote.host, far.remote_key) == (A.host, None)

    play(scene)


def test_bytes_arrive_whole_in_order_and_late() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        start = pair.loop.time()
        buffer = bytearray(b"first")
        await near.write(buffer, memoryview(b" second"))
        buffer[:] = b"xxxxx"
        await near.write(b" third")
        assert await far.read_exactly(12) == b"first second"
        assert pair.loop.time() == pytest.approx(start + 0.1)
        rest = bytearray(6)
        await far.read_into(memoryview(rest))
        assert rest == b" third"
        await far.write(b"back")
        assert await near.read_exactly(4) == b"back"

    play(scene)


def test_loss_delays_but_never_reorders() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        start = pair.loop.time()
        for number in range(200):
            await near.write(bytes([number]))
        assert await far.read_exactly(200) == bytes(range(200))
        assert pair.loop.time() >= start + 0.3

    play(scene, loss=0.3)


def test_a_writer_waits_for_a_slow_reader() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        await near.write(bytes(BUFFERS_BYTES))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await near.write(b"more")
        start = pair.loop.time()
        writing = asyncio.create_task(near.write(b"again"))
        await far.read_exactly(BUFFER_BYTES)
        await writing
        assert pair.loop.time() - start == pytest.approx(0.3)  # word of the room; there and back
        await far.read_exactly(BUFFERS_BYTES - BUFFER_BYTES)
        assert await far.read_exactly(9) == b"moreagain"

    play(scene)


def test_bandwidth_of_both_ends_sets_the_pace() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        pair.network.machine(A).up_bytes_per_s = 2 * MIB
        pair.network.machine(B).down_bytes_per_s = 1 * MIB

        async def send() -> None:
            for _ in range(48):
                await near.write(bytes(MIB // 4))

        sender = asyncio.create_task(send())
        await far.read_exactly(2 * MIB)  # behind the slow start
        start = pair.loop.time()
        await far.read_exactly(10 * MIB)
        await sender
        assert pair.loop.time() - start == pytest.approx(10, rel=0.01)

    play(scene)


def test_close_delivers_what_was_written_then_ends() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        await near.write(b"last words")
        await near.close()
        await near.close()
        with pytest.raises(ConnectionLost):
            await near.write(b"x")
        assert await far.read_exactly(10) == b"last words"
        with pytest.raises(ConnectionLost, match="closed"):
            await far.read_exactly(1)
        with pytest.raises(ConnectionLost):
            await far.write(b"x")

    play(scene)


def test_close_gives_up_after_a_second() -> None:
    async def scene(pair: Pair) -> None:
        near, _ = await pair.connect()
        await near.write(b"never arrives")
        pair.network.partition([[A], [B]])
        start = pair.loop.time()
        await near.close()
        assert pair.loop.time() == pytest.approx(start + 1)

    play(scene)


def test_abort_ends_the_own_side_now_and_the_peer_one_latency_later() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        reading = asyncio.create_task(near.read_exactly(1))
        await asyncio.sleep(0)
        start = pair.loop.time()
        near.abort()
        with pytest.raises(ConnectionLost):
            await reading
        assert pair.loop.time() == start
        with pytest.raises(ConnectionLost, match="reset"):
            await far.read_exactly(1)
        assert pair.loop.time() == pytest.approx(start + 0.1)

    play(scene)


def test_a_cancelled_read_ends_the_stream() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        await near.write(b"half")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await far.read_exactly(8)
        with pytest.raises(ConnectionLost, match="aborted"):
            await far.read_exactly(1)

    play(scene)


def test_abort_wakes_a_waiting_writer() -> None:
    async def scene(pair: Pair) -> None:
        near, _ = await pair.connect()
        writing = asyncio.create_task(near.write(bytes(2 * BUFFERS_BYTES)))
        await asyncio.sleep(1)
        near.abort()
        with pytest.raises(ConnectionLost):
            await writing

    play(scene)


def test_the_wrong_key_is_refused_and_nobody_is_served() -> None:
    async def scene(pair: Pair) -> None:
        await pair.b.listen(B.port, pair.keep, Supervisor())
        with pytest.raises(RefusedByNetwork):
            await pair.a.dial(B, KEY_A, 5.0)
        await asyncio.sleep(1)
        assert pair.accepted.empty()
        assert (await pair.a.dial(B, None, 5.0)).remote_key == KEY_B

    play(scene)


def test_dialling_nobody_fails_as_the_machine_would() -> None:
    async def scene(pair: Pair) -> None:
        await pair.network.endpoint(B).open(lambda data, source: None, Supervisor())
        with pytest.raises(ConnectionLost, match="nothing listens"):
            await pair.a.dial(B, None, 5.0)
        assert pair.loop.time() == pytest.approx(0.2)
        with pytest.raises(ConnectionLost, match="did not answer within 5 s"):
            await pair.a.dial(Address("10.9.9.9", 1), None, 5.0)
        assert pair.loop.time() == pytest.approx(5.2)
        with pytest.raises(ConnectionLost, match="cannot be dialled"):
            await pair.a.dial(Address("0.0.0.0", 1), None, 5.0)

    play(scene)


def test_listening_twice_is_refused() -> None:
    async def scene(pair: Pair) -> None:
        await pair.b.listen(B.port, pair.keep, Supervisor())
        with pytest.raises(AddressInUse):
            await pair.streams.transport(B, KEY_A).listen(B.port, pair.keep, Supervisor())

    play(scene)


def test_handshakes_are_bounded() -> None:
    async def scene(pair: Pair) -> None:
        await pair.b.listen(B.port, pair.keep, Supervisor())
        dials = [pair.a.dial(B, None, 5.0) for _ in range(INBOUND_HANDSHAKES_MAX + 3)]
        outcomes = await asyncio.gather(*dials, return_exceptions=True)
        assert sum(isinstance(outcome, ConnectionLost) for outcome in outcomes) == 3
        await pair.a.dial(B, None, 5.0)

    play(scene)


def test_the_served_call_owns_its_stream() -> None:
    async def scene(pair: Pair) -> None:
        async def serve(stream: Stream) -> None:
            await stream.write(await stream.read_exactly(2))

        await pair.b.listen(B.port, serve, Supervisor())
        near = await pair.a.dial(B, None, 5.0)
        await near.write(b"hi")
        assert await near.read_exactly(2) == b"hi"
        with pytest.raises(ConnectionLost):
            await near.read_exactly(1)

    play(scene)


def test_a_bug_while_serving_is_seen_and_a_lost_peer_is_not_one() -> None:
    async def scene(pair: Pair) -> None:
        async def serve(stream: Stream) -> None:
            if await stream.read_exactly(1) == b"!":
                raise LookupError("a bug")
            await stream.read_exactly(1)

        await pair.b.listen(B.port, serve, Supervisor())
        for word in (b"!", b"."):
            near = await pair.a.dial(B, None, 5.0)
            await near.write(word)
            await near.close()
        await asyncio.sleep(1)

    with pytest.raises(UnhandledErrors, match=r"1 unseen failures.*a bug"):
        play(scene)


def test_closing_the_transport_ends_everything() -> None:
    async def scene(pair: Pair) -> None:
        near, _ = await pair.connect()
        await pair.b.close()
        with pytest.raises(ConnectionLost):
            await near.read_exactly(1)
        with pytest.raises(ConnectionLost):
            await pair.a.dial(B, None, 1.0)
        with pytest.raises(ConnectionLost, match="are closed"):
            await pair.b.dial(A, None, 1.0)

    play(scene)


def test_a_partition_stalls_a_stream_and_healing_resumes_it() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        await near.write(b"one")
        pair.network.partition([[A]])
        await near.write(b"two")
        reading = asyncio.create_task(far.read_exactly(15))
        await asyncio.sleep(60)
        assert not reading.done()
        with pytest.raises(ConnectionLost):
            await pair.a.dial(B, None, 5.0)
        await near.write(b"three")
        pair.network.heal()
        await near.write(b"four")
        assert await reading == b"onetwothreefour"

    play(scene)


def test_a_silent_crash_is_noticed_only_when_the_machine_is_back() -> None:
    async def scene(pair: Pair) -> None:
        near, far = await pair.connect()
        pair.network.crash(B)
        with pytest.raises(ConnectionLost, match="crashed"):
            await far.read_exactly(1)
        reading = asyncio.create_task(near.read_exactly(1))
        await near.write(b"anyone?")
        await asyncio.sleep(60)
        assert not reading.done()
        with pytest.raises(ConnectionLost, match="did not answer"):
            await pair.a.dial(B, None, 5.0)
        again = pair.streams.transport(B, KEY_B)
        await again.listen(B.port, pair.keep, Supervisor())
        await near.write(b"hello?")
        with pytest.raises(ConnectionLost, match="reset"):
            await reading
        await again.close()

    play(scene)


def test_a_killed_process_resets_its_peers() -> None:
    async def scene(pair: Pair) -> None:
        near, _ = await pair.connect()
        pair.network.crash(B, silent=False)
        with pytest.raises(ConnectionLost, match="reset"):
            await near.read_exactly(1)

    play(scene)


def test_nothing_is_kept_of_finished_streams() -> None:
    async def scene(pair: Pair) -> None:
        async def serve(stream: Stream) -> None:
            await stream.read_exactly(1)

        await pair.b.listen(B.port, serve, Supervisor())
        for _ in range(20):
            near = await pair.a.dial(B, None, 5.0)
            await near.write(b"x")
            await near.close()
        await asyncio.sleep(10)
        assert _kept(pair.a) == _kept(pair.b) == 0

    play(scene)


def _kept(transport: SimStreamTransport) -> int:
    return len(transport._streams) + len(transport._serving) + transport._handshakes
