"""When arrived blocks are verified, and what becomes of wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import BlockBytes
from dhtstore.node.fetching.intake import Arrived, Intake
from dhtstore.node.fetching.opening import ReadBlock
from dhtstore.node.links.buffers import Lease
from dhtstore.node.links.link import Link
from dhtstore.params import FETCH_VERIFY_BLOCKS, FETCH_VERIFY_BYTES, FETCH_VERIFY_DELAY_S
from dhtstore.tasks import Supervisor
from simulations.world.ports.blocking import InlineBlocking
from tests.unit.node.data_plane import World, connected, play
from tests.unit.node.fetching.walks import want_of

MANY = FETCH_VERIFY_BLOCKS
NOTHING = Lease(memoryview(b""))
Story = Callable[[World, Link, Intake], Awaitable[None]]


class Verdicts:
    """What the intake says, and when it does."""

    def __init__(self, story: Story) -> None:
        self.right: list[tuple[float, list[bool]]] = []
        self.kept: list[list[tuple[Cid, BlockBytes]]] = []
        play(self._scene(story))

    def _scene(self, story: Story) -> Callable[[World], Awaitable[None]]:
        async def scene(world: World) -> None:
            _, _, link = await connected(world)
            start_s, tasks = world.loop.time(), Supervisor()

            def on_verified(arrived: Sequence[Arrived], read: Sequence[ReadBlock | None]) -> None:
                assert len(arrived) == len(read)
                right = [block is not None for block in read]
                self.right.append((world.loop.time() - start_s, right))

            await story(world, link, Intake(InlineBlocking(), self.kept.append, tasks, on_verified))
            await tasks.close()

        return scene


def test_blocks_wait_a_moment_for_others_and_are_verified_together() -> None:
    async def story(world: World, link: Link, intake: Intake) -> None:
        intake.take([(link, want_of(b"a", 0), b"a", NOTHING)], unfinished=9)
        await asyncio.sleep(FETCH_VERIFY_DELAY_S / 2)
        intake.take([(link, want_of(b"b", 1), b"b", NOTHING)], unfinished=8)
        await asyncio.sleep(1)

    verdicts = Verdicts(story)
    [(when_s, right)] = verdicts.right
    assert right == [True, True]
    assert abs(when_s - FETCH_VERIFY_DELAY_S) < 1e-6


def test_the_last_blocks_are_verified_at_once() -> None:
    async def story(world: World, link: Link, intake: Intake) -> None:
        intake.take([(link, want_of(b"a", 0), b"a", NOTHING)], unfinished=1)
        await asyncio.sleep(1)

    assert Verdicts(story).right == [(0.0, [True])]


def test_much_is_verified_at_once() -> None:
    much = bytes(FETCH_VERIFY_BYTES)

    async def story(world: World, link: Link, intake: Intake) -> None:
        intake.take([(link, want_of(much, 0), much, NOTHING)], unfinished=99)
        await asyncio.sleep(1)

    assert Verdicts(story).right == [(0.0, [True])]


def test_only_right_blocks_are_kept() -> None:
    async def story(world: World, link: Link, intake: Intake) -> None:
        arrived = [
            (link, want_of(b"a", 0), b"a", NOTHING),
            (link, want_of(b"b", 1), b"lie", NOTHING),
        ]
        intake.take(arrived, unfinished=2)
        await asyncio.sleep(1)

    verdicts = Verdicts(story)
    assert verdicts.right == [(0.0, [True, False])]
    assert verdicts.kept == [[(Cid.of(b"a"), b"a")]]


def test_many_are_verified_at_once_however_small() -> None:
    async def story(world: World, link: Link, intake: Intake) -> None:
        few = [(link, want_of(b"%d" % n, n), b"%d" % n, NOTHING) for n in range(MANY)]
        intake.take(few, unfinished=2 * MANY)
        assert intake.at_work
        await asyncio.sleep(1)
        assert not intake.at_work

    assert Verdicts(story).right == [(0.0, [True] * MANY)]
