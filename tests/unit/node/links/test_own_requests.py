"""What a node asks: answered in parts, refused, silent, given up, and never too much at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from dhtstore.errors import ConnectionLost, PeerRefused, TooSlow
from dhtstore.model.identity import node_id
from dhtstore.node.links.buffers import BufferPool, Lease
from dhtstore.node.links.outbox import Outbox
from dhtstore.node.links.own_requests import Asker, OwnRequests
from dhtstore.params import CANCELLED_END_S, RATE_MIN_BYTES_PER_S, REQUESTS_IN_FLIGHT_MAX
from dhtstore.transfer.session import Answered, Session
from dhtstore.wire.frames import (
    Cancel,
    Declined,
    Frame,
    FrameRequest,
    FrameResponse,
    Release,
    Released,
    Replicate,
    Replicating,
)
from tests.bids import some_replicate
from tests.unit.node.links.ends import KEY_THERE, Ends, play, read

NOTHING = Lease(memoryview(b""))


@dataclass(frozen=True, slots=True)
class Asking:
    """Own requests over a stream, and the parts that came."""

    requests: OwnRequests
    session: Session
    outbox: Outbox
    parts: list[FrameResponse]

    @classmethod
    def over(cls, ends: Ends) -> Asking:
        session, outbox = Session(), Outbox(ends.near, ends.clock)
        ends.tasks.spawn(outbox.run(), "send")
        requests = OwnRequests(session, outbox, ends.near, node_id(KEY_THERE), ends.clock)
        return cls(requests, session, outbox, [])

    async def ask(self, request: Release | Replicate, silence_s: float = 5.0) -> FrameResponse:
        asker = Asker(self._on_part, delivered=_held)
        return await self.requests.ask(request, silence_s, asker)

    async def hear(self, response: FrameResponse, lease: Lease = NOTHING) -> None:
        event = self.session.receive(response)
        assert isinstance(event, Answered)
        self.requests.answered(event, lease)

    def _on_part(self, response: FrameResponse, body: Lease | None) -> None:
        self.parts.append(response)


def _held(response: FrameResponse) -> int:
    """As if all that a holder tells of were new, and so had been delivered."""
    return response.held_bytes if isinstance(response, Replicating) else 0


async def next_frame(ends: Ends) -> Frame:
    return (await read(ends.far))[0]


async def next_request(ends: Ends) -> FrameRequest:
    frame = await next_frame(ends)
    assert isinstance(frame, FrameRequest)
    return frame


def test_an_answer_comes_in_parts_of_which_the_last_is_the_result() -> None:
    async def scene(ends: Ends) -> None:
        asking = Asking.over(ends)
        asked = ends.tasks.spawn(asking.ask(some_replicate(3)), "ask")
        number = (await next_request(ends)).request
        parts = [
            Replicating(held_bytes=10, request=number),
            Declined(code="no-room", reason="full", request=number),
        ]
        for part in parts:
            await asking.hear(part)
        with pytest.raises(PeerRefused, match="full"):
            await asked
        assert asking.parts == parts

    play(scene)


def test_what_is_delivered_buys_as_much_time_as_it_may_take() -> None:
    async def scene(ends: Ends) -> None:
        asking, start_s = Asking.over(ends), ends.clock.monotonic_s()
        asked = ends.tasks.spawn(asking.ask(some_replicate(3), silence_s=5.0), "ask")
        number = (await next_request(ends)).request
        await asyncio.sleep(4.0)
        held_bytes = 3 * RATE_MIN_BYTES_PER_S
        await asking.hear(Replicating(held_bytes=held_bytes, request=number))
        with pytest.raises(TooSlow, match=r"gave .*B and was then too slow"):
            await asked
        assert ends.clock.monotonic_s() - start_s == pytest.approx(8.0, abs=0.1)

    play(scene)


def test_a_part_that_delivers_nothing_buys_no_time() -> None:
    async def scene(ends: Ends) -> None:
        asking, start_s = Asking.over(ends), ends.clock.monotonic_s()
        asked = ends.tasks.spawn(asking.ask(some_replicate(3), silence_s=5.0), "ask")
        number = (await next_request(ends)).request
        for _ in range(2):
            await asking.hear(Replicating(held_bytes=0, request=number))
            await asyncio.sleep(2.0)
        with pytest.raises(ConnectionLost, match="silent for 5 s"):
            await asked
        assert ends.clock.monotonic_s() - start_s == pytest.approx(5.0, abs=0.1)

    play(scene)


@pytest.mark.parametrize("ended", [True, False])
def test_a_peer_that_does_not_end_a_cancelled_request_loses_the_link(ended: bool) -> None:
    async def scene(ends: Ends) -> None:
        asking = Asking.over(ends)
        asked = ends.tasks.spawn(asking.ask(Release(reservation=1)), "ask")
        number = (await next_request(ends)).request
        asked.cancel()
        assert await next_frame(ends) == Cancel(number)
        await asyncio.sleep(CANCELLED_END_S - 1)
        if ended:
            await asking.hear(Released(request=number))
        await asyncio.sleep(2)
        if ended:
            await ends.far.write(b"x")
            assert await ends.near.read_exactly(1) == b"x"
        else:
            with pytest.raises(ConnectionLost):
                await ends.near.read_exactly(1)

    play(scene)


def test_who_gives_up_says_so_and_the_late_answer_gives_its_buffer_back() -> None:
    async def scene(ends: Ends) -> None:
        asking, pool = Asking.over(ends), BufferPool(8, 1)
        asked = ends.tasks.spawn(asking.ask(Release(reservation=1)), "ask")
        number = (await next_request(ends)).request
        asked.cancel()
        assert await next_frame(ends) == Cancel(number)
        lease = pool.lend(8)
        buffer = lease.view.obj
        await asking.hear(Released(request=number), lease)
        assert pool.lend(8).view.obj is buffer
        assert asking.parts == []

    play(scene)


def test_no_more_requests_are_in_flight_than_agreed() -> None:
    async def scene(ends: Ends) -> None:
        asking = Asking.over(ends)
        for _ in range(REQUESTS_IN_FLIGHT_MAX + 1):
            ends.tasks.spawn(asking.ask(Release(reservation=1)), "ask")
        await asyncio.sleep(0.1)
        assert asking.session.room == 0
        asked = [await next_request(ends) for _ in range(REQUESTS_IN_FLIGHT_MAX)]
        await asking.hear(Released(request=asked[0].request))
        assert isinstance(await next_frame(ends), Release)

    play(scene)


def test_all_that_was_asked_fails_with_the_link() -> None:
    async def scene(ends: Ends) -> None:
        asking = Asking.over(ends)
        count = 2 * REQUESTS_IN_FLIGHT_MAX  # half of them wait for their turn
        asked = [ends.tasks.spawn(asking.ask(Release(reservation=1)), "ask") for _ in range(count)]
        await asyncio.sleep(0.1)
        asking.outbox.close(ConnectionLost("gone"))
        asking.requests.fail(ConnectionLost("gone"))
        await asyncio.wait(asked)
        assert {repr(task.exception()) for task in asked} == {"ConnectionLost('gone')"}

    play(scene)
