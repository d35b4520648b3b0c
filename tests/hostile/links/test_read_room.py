"""Reading blocks for peers is memory that one origin must not have alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dhtstore.node.copies.read_room import ReadRoom, Share
from dhtstore.params import (
    SERVED_PATIENCE_S,
    SERVED_READS_MAX,
    SERVED_TURN_MAX_S,
)
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run


@dataclass(eq=False)
class Peer:
    """A link that holds the reads it gets, until it is ended."""

    origin: str
    rate: float = 0.0
    stalled_s: float = 0.0
    alive: bool = True
    shares: list[Share] = field(default_factory=list)

    def abandon(self, why: str = "") -> None:
        self.alive = False
        while self.shares:
            self.shares.pop().release()

    async def read(self, room: ReadRoom) -> None:
        share = await room.take(self)
        share.hold()
        self.shares.append(share)

    def take_it(self) -> None:
        """All of a read has left."""
        self.shares.pop().release()


async def holding(room: ReadRoom, origin: str, count: int) -> list[Peer]:
    peers = [Peer(origin, rate=float(number)) for number in range(count)]
    for peer in peers:
        await peer.read(room)
    return peers


def test_origins_that_wait_take_turns_however_many_readers_they_have() -> None:
    async def main() -> None:
        room, tasks = ReadRoom(), Supervisor()
        held = await holding(room, "crowd", SERVED_READS_MAX)
        crowd = [Peer("crowd") for _ in range(100)]
        for peer in crowd:
            tasks.spawn(peer.read(room), "read")
        await asyncio.sleep(0.01)
        late = Peer("honest")
        tasks.spawn(late.read(room), "read")
        await asyncio.sleep(0.01)
        for peer in held[:2]:
            peer.take_it()
            await asyncio.sleep(0.01)
        assert len(late.shares) == 1
        assert sum(len(peer.shares) for peer in crowd) == 1
        await tasks.close()

    run(main(), VirtualLoop())


def test_an_origin_with_more_reads_than_its_share_loses_its_slowest_link_to_one_that_waits() -> (
    None
):
    async def main() -> None:
        room, tasks, loop = ReadRoom(), Supervisor(), asyncio.get_running_loop()
        slow = await holding(room, "crowd", SERVED_READS_MAX)
        waiting = Peer("honest")
        started_s = loop.time()
        await waiting.read(room)
        assert loop.time() - started_s <= SERVED_TURN_MAX_S + SERVED_PATIENCE_S
        assert [peer.alive for peer in slow] == [False] + [True] * (SERVED_READS_MAX - 1)
        await tasks.close()

    run(main(), VirtualLoop())


def test_readers_within_their_share_are_left_alone() -> None:
    async def main() -> None:
        room, tasks = ReadRoom(), Supervisor()
        held = [
            (await holding(room, f"origin {number}", 1))[0] for number in range(SERVED_READS_MAX)
        ]
        waiting = Peer("honest")
        tasks.spawn(waiting.read(room), "read")
        await asyncio.sleep(10 * SERVED_TURN_MAX_S)
        assert all(peer.alive for peer in held)
        held[3].take_it()
        await asyncio.sleep(0.01)
        assert len(waiting.shares) == 1
        await tasks.close()

    run(main(), VirtualLoop())


def test_who_gives_up_waiting_leaves_no_hole_and_takes_no_room_along() -> None:
    async def main() -> None:
        room, tasks = ReadRoom(), Supervisor()
        held = await holding(room, "crowd", SERVED_READS_MAX)
        gone, granted, last = Peer("a"), Peer("b"), Peer("c")
        waits = []
        for peer in (gone, granted, last):
            waits.append(tasks.spawn(peer.read(room), "read"))
            await asyncio.sleep(0.01)
        waits[0].cancel()
        await asyncio.sleep(0.01)
        held[0].take_it()  # for the second, that gives up before it knows
        waits[1].cancel()
        await asyncio.sleep(0.01)
        assert [len(peer.shares) for peer in (gone, granted, last)] == [0, 0, 1]
        assert not room.wanted
        for peer in held[1:]:
            peer.take_it()
        last.take_it()
        assert len(await holding(room, "d", SERVED_READS_MAX)) == SERVED_READS_MAX
        await tasks.close()

    run(main(), VirtualLoop())
