"""What ports.Stream and ports.StreamTransport promise, over TLS on loopback and simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dhtstore.errors import AddressInUse, ConnectionLost, RefusedByNetwork
from dhtstore.model.contact import Address
from dhtstore.net.ports import Stream
from dhtstore.params import KIB, MIB
from dhtstore.tasks import Supervisor
from tests.conformance.stream_worlds import (
    KEY_A,
    KEY_B,
    Scene,
    World,
    play_over_tls,
    play_simulated,
)

Play = Callable[[Scene], None]


@pytest.fixture(params=[play_over_tls, play_simulated], ids=["tls", "simulated"])
def play(request: pytest.FixtureRequest) -> Play:
    chosen: Play = request.param
    return chosen


def test_the_dialler_knows_whose_key_answered_and_the_acceptor_does_not(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        assert (near.remote, near.remote_key) == (world.where_b(), KEY_B)
        assert far.remote_key is None

    play(scene)


def test_both_ends_see_the_same_binding_and_streams_to_another_key_another(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        assert near.binding == far.binding
        assert len(near.binding) == 32
        await world.a.listen(0, world.keep, Supervisor())
        await world.b.dial(world.where_a(), KEY_A, 5.0)
        assert (await world.accepted.get()).binding != near.binding

    play(scene)


def test_without_an_expected_key_any_key_is_reported(play: Play) -> None:
    async def scene(world: World) -> None:
        near = await world.a.dial(world.where_b(), None, 5.0)
        assert near.remote_key == KEY_B

    play(scene)


def test_another_key_than_expected_is_refused(play: Play) -> None:
    async def scene(world: World) -> None:
        with pytest.raises(RefusedByNetwork):
            await world.a.dial(world.where_b(), KEY_A, 5.0)

    play(scene)


def test_bytes_arrive_in_order_whatever_the_sizes(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        sizes = [1, 8, 100, 64 * KIB, 64 * KIB + 1, 300 * KIB, 2 * MIB, 3]
        parts = [bytes([number]) * size for number, size in enumerate(sizes)]
        writing = asyncio.ensure_future(near.write(*parts))
        for number, size in enumerate(sizes):
            if number % 2:
                assert await far.read_exactly(size) == parts[number]
            else:
                target = bytearray(size)
                await far.read_into(memoryview(target))
                assert target == parts[number]
        await writing

    play(scene)


def test_what_has_come_of_a_read_is_told_before_it_ends(play: Play) -> None:
    """Who gives slowly is told by it from who gives nothing."""

    async def scene(world: World) -> None:
        near, far = await world.connect()
        before_bytes, target = far.received_bytes, bytearray(MIB)
        reading = asyncio.ensure_future(far.read_into(memoryview(target)))
        for part in range(1, 5):
            await near.write(bytes(MIB // 4))
            for _ in range(2000):  # nothing tells that it came but the count
                if far.received_bytes == before_bytes + part * MIB // 4:
                    break
                await asyncio.sleep(0.001)
            assert far.received_bytes == before_bytes + part * MIB // 4
            assert part == 4 or not reading.done()
        await reading

    play(scene)


def test_both_directions_flow_at_once(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        data = bytes(4 * MIB)

        async def drain(stream: Stream) -> None:
            for _ in range(4):
                assert await stream.read_exactly(MIB) == bytes(MIB)

        await asyncio.gather(near.write(data), far.write(data), drain(near), drain(far))

    play(scene)


def test_a_buffer_may_be_reused_after_write_returns(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        buffer = bytearray(b"before")
        await near.write(buffer)
        buffer[:] = b"after!"
        assert await far.read_exactly(6) == b"before"

    play(scene)


def test_a_writer_waits_while_nobody_reads(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await near.write(*[bytes(MIB)] * 64)
        far.abort()
        with pytest.raises(ConnectionLost):
            await near.write(*[bytes(MIB)] * 64)

    play(scene)


def test_close_delivers_what_was_written_and_then_ends(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        await near.write(b"last words")
        await near.close()
        assert await far.read_exactly(10) == b"last words"
        with pytest.raises(ConnectionLost):
            await far.read_exactly(1)

    play(scene)


def test_abort_ends_pending_reads_on_both_sides(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        reads = [asyncio.ensure_future(end.read_exactly(1)) for end in (near, far)]
        await asyncio.sleep(0)
        near.abort()
        for read in reads:
            with pytest.raises(ConnectionLost):
                await read
        with pytest.raises(ConnectionLost):
            await near.write(b"x")
        with pytest.raises(ConnectionLost):
            await near.read_exactly(1)

    play(scene)


def test_an_end_in_the_middle_of_a_read_is_an_error(play: Play) -> None:
    async def scene(world: World) -> None:
        near, far = await world.connect()
        await near.write(b"half")
        await near.close()
        with pytest.raises(ConnectionLost):
            await far.read_exactly(8)

    play(scene)


def test_the_stream_is_aborted_when_the_acceptors_call_ends(play: Play) -> None:
    async def scene(world: World) -> None:
        near, _ = await world.connect()
        world.release.set()
        with pytest.raises(ConnectionLost):
            await near.read_exactly(1)

    play(scene)


def test_dialling_after_the_acceptor_closed_fails(play: Play) -> None:
    async def scene(world: World) -> None:
        where = world.where_b()
        near, _ = await world.connect()
        await world.b.close()
        with pytest.raises(ConnectionLost):
            await near.read_exactly(1)
        with pytest.raises(ConnectionLost):
            await world.a.dial(where, KEY_B, 2.0)

    play(scene)


def test_a_port_is_taken_once(play: Play) -> None:
    async def scene(world: World) -> None:
        with pytest.raises(AddressInUse):
            await world.b.listen(world.where_b().port, world.keep, Supervisor())

    play(scene)


@pytest.mark.parametrize(
    "address",
    [Address("a.name", 80), Address("0.0.0.0", 80), Address("10.0.0.2", 0), Address("", 99999)],
    ids=str,
)
def test_what_is_not_the_address_of_one_host_is_never_dialled(play: Play, address: Address) -> None:
    async def scene(world: World) -> None:
        with pytest.raises(ConnectionLost):
            await world.a.dial(address, None, 60.0)

    play(scene)
