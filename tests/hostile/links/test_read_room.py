"""Reading blocks for peers is memory that one origin must not have alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dhtstore.node.copies.read_room import ReadRoom, Share
from dhtstore.params import (
    MIB,
    SERVED_PARKED_BYTES,
    SERVED_READS_MAX,
    SERVED_STALL_S,
)
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run


@dataclass(eq=False)
class Peer:
    """A link that holds the reads it gets, until it is ended."""

    origin: str
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
        share.size_bytes = MIB
        self.shares.append(share)

    def take_it(self) -> None:
        """All of a read has left."""
        self.shares.pop().release()


async def holding(room: ReadRoom, origin: str, count: int) -> list[Peer]:
    peers = [Peer(origin) for _ in range(count)]
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


def test_readers_that_take_nothing_cost_nobody_a_turn_and_keep_their_links() -> None:
    async def main() -> None:
        room, loop = ReadRoom(), asyncio.get_running_loop()
        slow = await holding(room, "crowd", SERVED_READS_MAX)
        for peer in slow:
            peer.stalled_s = 9.0
        started_s = loop.time()
        await Peer("honest").read(room)
        assert loop.time() - started_s <= SERVED_STALL_S
        assert all(peer.alive for peer in slow)

    run(main(), VirtualLoop())


def test_readers_that_take_something_are_not_passed_over() -> None:
    async def main() -> None:
        room, tasks = ReadRoom(), Supervisor()
        held = await holding(room, "crowd", SERVED_READS_MAX)
        waiting = Peer("honest")
        tasks.spawn(waiting.read(room), "read")
        await asyncio.sleep(100 * SERVED_STALL_S)
        assert not waiting.shares
        held[3].take_it()
        await asyncio.sleep(0.01)
        assert len(waiting.shares) == 1
        await tasks.close()

    run(main(), VirtualLoop())


def test_where_too_much_waits_for_slow_readers_the_slowest_of_the_crowd_goes() -> None:
    """Never one of an origin that has less of it, however slow its line is."""

    async def main() -> None:
        room, most = ReadRoom(), SERVED_PARKED_BYTES // MIB
        lone = (await holding(room, "far away", 1))[0]
        lone.stalled_s = 25.0
        crowd: list[Peer] = []
        for number in range(most + 5):
            crowd += await holding(room, f"crowd {number % 3}", 1)
            crowd[-1].stalled_s = 1.0 + number
        await asyncio.sleep(SERVED_STALL_S)
        for _ in range(SERVED_READS_MAX):
            await Peer("honest").read(room)
        assert lone.alive
        gone = [peer for peer in crowd if not peer.alive]
        kept = [peer for peer in crowd if peer.alive and peer.shares]
        assert len(kept) + 1 <= most
        assert gone

    run(main(), VirtualLoop())


def test_a_turn_that_is_given_up_in_the_same_moment_goes_to_the_next() -> None:
    async def main() -> None:
        room, tasks = ReadRoom(), Supervisor()
        held = await holding(room, "crowd", SERVED_READS_MAX)
        gone, last = Peer("a"), Peer("b")
        waits = [tasks.spawn(peer.read(room), "read") for peer in (gone, last)]
        await asyncio.sleep(0.01)
        waits[0].cancel()
        held[0].take_it()  # before the first has heard that it gives up
        await asyncio.sleep(0.01)
        assert [len(peer.shares) for peer in (gone, last)] == [0, 1]
        assert not room.wanted
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
