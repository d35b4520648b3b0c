"""Small frames by the ten thousand: found as 8 links that held the event loop for 2.5 s on end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from dhtstore.model.cid import Cid
from dhtstore.net.ports import Stream
from dhtstore.params import (
    FRAMES_AT_ONCE_PER_ORIGIN,
    FRAMES_IN_A_TURN,
    FRAMES_PER_S_PER_ORIGIN,
)
from dhtstore.transfer.session import Session
from dhtstore.wire.frames import Cancel, Frame, Release, encode
from tests.unit.node.data_plane import World, collect, play, raw_session

COUNT = 1500


@dataclass(slots=True)
class Received:
    """How many frames sessions have taken, and most of them in one turn of the event loop."""

    count: int = 0
    in_a_turn: int = 0
    most: int = 0

    def one(self) -> None:
        if not self.in_a_turn:
            asyncio.get_running_loop().call_soon(self._others_turn)
        self.count += 1
        self.in_a_turn += 1
        self.most = max(self.most, self.in_a_turn)

    def _others_turn(self) -> None:
        self.in_a_turn = 0


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Received:
    counts, receive = Received(), Session.receive

    def counted(self: Session, frame: Frame) -> object:
        counts.one()
        return receive(self, frame)

    monkeypatch.setattr(Session, "receive", counted)
    return counts


async def flood(stream: Stream, frames: list[Frame]) -> None:
    await stream.write(b"".join(map(encode, frames)))


async def drain(stream: Stream) -> None:
    while True:
        await stream.read_exactly(1)


def test_frames_of_one_link_leave_others_a_turn(received: Received) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        await flood(stream, [Cancel(n) for n in range(COUNT)])
        await asyncio.sleep(COUNT / FRAMES_PER_S_PER_ORIGIN)
        assert received.count == COUNT
        assert received.most <= 2 * FRAMES_IN_A_TURN

    play(scene)


def test_an_origin_gets_its_share_of_attention_however_many_links_it_has(
    received: Received,
) -> None:
    async def scene(world: World) -> None:
        node = await world.peer("node")
        crowd = [await world.peer(f"crowd {n}", host=f"10.66.0.{n + 1}") for n in range(8)]
        streams = [await raw_session(each, node) for each in crowd]
        started_s = world.loop.time()
        for stream in streams:
            await flood(stream, [Cancel(n) for n in range(COUNT)])
        honest = await world.peer("honest", host="10.1.0.1")
        link = await honest.links.to(node.key, [node.address], 5.0)
        asked_s = world.loop.time()
        assert (await collect(link, [Cid.of(b"x")]))[1] == [0]
        assert world.loop.time() - asked_s < 0.1
        await asyncio.sleep(2)
        passed_s = world.loop.time() - started_s
        share = FRAMES_AT_ONCE_PER_ORIGIN + passed_s * FRAMES_PER_S_PER_ORIGIN
        assert share / 2 < received.count <= share + len(streams) + 10

    play(scene)


def test_requests_that_are_declined_at_once_leave_others_a_turn(received: Received) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await raw_session(a, b)
        draining = a.supervisor.spawn(drain(stream), "drain")
        requests: list[Frame] = [Release(reservation=1, request=n) for n in range(COUNT)]
        await flood(stream, requests)
        await asyncio.sleep(COUNT / FRAMES_PER_S_PER_ORIGIN)
        assert received.count >= COUNT
        assert received.most <= 2 * FRAMES_IN_A_TURN
        draining.cancel()

    play(scene)
