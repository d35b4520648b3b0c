"""Frames go out whole and in order, and whoever waits for one learns what became of it."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.node.links.outbox import Outbox
from dhtstore.params import MIB, OUTGOING_FRAMES_MAX, REQUEST_TIMEOUT_S
from dhtstore.wire.frames import Blocks, Cancel, Release
from tests.unit.node.links.ends import Ends, play, read

LARGE = (Blocks(indices=(0,), sizes=(MIB,), missing=()), bytes(MIB))


def test_frames_arrive_in_the_order_in_which_they_were_queued() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        ends.tasks.spawn(outbox.run(), "send")
        sent = [outbox.queue(Cancel(number)) for number in range(20)]
        arrived = [await read(ends.far) for _ in range(20)]
        assert [frame for frame, _ in arrived] == [Cancel(number) for number in range(20)]
        assert all(future.done() for future in sent)

    play(scene)


def test_what_waits_fails_when_the_link_ends() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        sent = [outbox.queue(Cancel(number)) for number in range(3)]
        outbox.close(ConnectionLost("the peer is gone"))
        assert not outbox.open
        for future in sent:
            with pytest.raises(ConnectionLost, match="the peer is gone"):
                await future
        with pytest.raises(ConnectionLost, match="the peer is gone"):
            outbox.check()

    play(scene)


def test_whoever_gives_up_waiting_leaves_no_half_frame() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        ends.tasks.spawn(outbox.run(), "send")
        frame, body = LARGE
        first = outbox.queue(frame, body)
        await asyncio.sleep(0.005)
        first.cancel()
        outbox.queue(Cancel(7))
        whole, lease = await read(ends.far)
        assert (whole, len(lease.view)) == (frame, MIB)
        assert (await read(ends.far))[0] == Cancel(7)

    play(scene)


def test_a_peer_that_reads_nothing_stalls_and_then_loses_the_link() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        for _ in range(40):
            outbox.queue(*LARGE)
        sending = ends.tasks.spawn(outbox.run(), "send")
        await asyncio.sleep(REQUEST_TIMEOUT_S / 2)
        assert outbox.stalled_s == pytest.approx(REQUEST_TIMEOUT_S / 2, rel=0.1)
        with pytest.raises(ConnectionLost, match="too slowly"):
            await sending
        assert outbox.stalled_s == 0.0

    play(scene)


def test_answers_that_nobody_wants_are_dropped_and_the_others_are_sent() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        gone: list[tuple[int, bool]] = []
        for number in (7, 8, 7):
            outbox.queue(
                Blocks(indices=(0,), sizes=(4,), request=number),
                b"data",
                gone=lambda left, number=number: gone.append((number, left)),  # type: ignore[misc]
            )
        outbox.queue(Release(reservation=1, request=7))  # of our own
        outbox.drop(7)
        assert gone == [(7, False), (7, False)]
        ends.tasks.spawn(outbox.run(), "send")
        arrived = [(await read(ends.far))[0] for _ in range(2)]
        assert [type(frame) for frame in arrived] == [Blocks, Release]
        assert gone[2:] == [(8, True)]

    play(scene)


def test_a_frame_is_gone_when_it_has_left_and_not_when_its_waiter_gives_up() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        gone: list[bool] = []
        for _ in range(40):
            outbox.queue(*LARGE, gone=gone.append).cancel()
        sending = ends.tasks.spawn(outbox.run(), "send")
        for _ in range(3):
            await read(ends.far)
        await asyncio.sleep(1)
        left = len(gone)
        assert 3 <= left < 10
        assert all(gone)
        outbox.close(ConnectionLost("the peer is gone"))
        assert gone[left:] == [False] * (39 - left)  # all but the one that is being sent
        sending.cancel()
        await asyncio.sleep(0)
        assert gone[39:] == [False]

    play(scene)


def test_who_waits_for_room_does_not_mind_that_another_gives_up() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        last = outbox.queue(Cancel(1))
        waiting = ends.tasks.spawn(outbox.room(), "room")
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.sleep(0.1)
        assert waiting.done()
        assert not waiting.cancelled()

    play(scene)


def test_more_frames_than_agreed_are_a_crowd_until_they_were_sent() -> None:
    async def scene(ends: Ends) -> None:
        outbox = Outbox(ends.near, ends.clock)
        for number in range(OUTGOING_FRAMES_MAX):
            outbox.queue(Cancel(number))
        assert not outbox.crowded
        outbox.queue(Cancel(0))
        assert outbox.crowded
        ends.tasks.spawn(outbox.run(), "send")
        await outbox.room()
        assert not outbox.crowded

    play(scene)


def test_the_memory_of_a_frame_is_free_when_it_is_said_to_be_gone() -> None:
    """A bytearray that somebody sees cannot change its size."""

    async def scene(ends: Ends) -> None:
        outbox, buffer = Outbox(ends.near, ends.clock), bytearray(MIB)
        free: list[bool] = []

        def gone(left: bool) -> None:
            buffer.append(0)
            free.append(left)

        frame, _ = LARGE
        outbox.queue(frame, memoryview(buffer), gone=gone)
        ends.tasks.spawn(outbox.run(), "send")
        await read(ends.far)
        assert free == [True]

    play(scene)
