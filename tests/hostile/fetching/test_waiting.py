"""What a fetch waits for is its own: the reader of a link waits for no fetch, alive or dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Output, Walk
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.params import MIB
from simulations.world.ports.blocking import InlineBlocking
from tests.hostile.fetching.test_memory import lying_directory
from tests.unit.node.data_plane import World, connected, play

T = TypeVar("T")


class Stuck(InlineBlocking):
    """A disk that verifies the first block, and then nothing more."""

    verified = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        if function.__name__ == "verify_and_keep":
            self.verified += 1
            if self.verified > 1:
                await asyncio.Event().wait()
        return function(*args)


async def fetch(disk: Disk, walk: Walk, link: Link) -> None:
    async def sink(outputs: list[Output]) -> None:
        """What it says is not looked at."""

    async with FetchSession(disk, FixedHolders([link])) as session:
        await session.fetch(walk, Delivery(sink))


def test_a_link_works_on_after_a_fetch_that_could_take_nothing_more_was_given_up() -> None:
    async def scene(world: World) -> None:
        a, b, link = await connected(world)
        root, other = lying_directory(b, 64), b.hold(bytes(MIB))
        dead = a.supervisor.spawn(fetch(Disk(a.store, Stuck()), TreeWalk(root), link), "fetch")
        await asyncio.sleep(10)
        async with asyncio.timeout(5):  # beside the one that is stuck
            await fetch(a.disk, FileWalk(other), link)
        dead.cancel()
        await asyncio.sleep(1)
        assert not link.busy
        async with asyncio.timeout(5):
            await fetch(a.disk, FileWalk(other), link)

    play(scene)
