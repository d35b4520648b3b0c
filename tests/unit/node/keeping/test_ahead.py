"""A stream takes the room of what is cached as it grows, oldest use first, and not before."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from functools import partial

import pytest

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.copies.open_offers import OpenOffers
from dhtstore.node.flows.ahead import RoomAhead
from dhtstore.node.importing.source import import_source
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.warnings import Warnings
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from tests.unit.node.copies_world import new_ledger
from tests.unit.node.data_plane import Peer, World, play

CAPACITY_BYTES = 40 * MIB
CACHED_BYTES = 7 * MIB


async def stream(size_bytes: int, seed: int) -> AsyncIterator[bytes]:
    rng = random.Random(seed)
    for at in range(0, size_bytes, MIB):
        yield rng.randbytes(min(MIB, size_bytes - at))


class Scene:
    """A small store in which five roots are cached."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.ledger = peer, new_ledger()
        store = MemoryBlockStore(CAPACITY_BYTES)
        self.disk = Disk(store, peer.blocking, make_room=self._make_room)
        self.collector = Collector(self.disk, self.ledger, peer.clock, Warnings())
        self.cached: list[Cid] = []

    async def _make_room(self, size_bytes: int) -> bool:
        async with self.collector.guards.guarded():  # as what is being put is
            return await self.collector.make_room(size_bytes)

    async def fill(self) -> None:
        for number in range(5):
            done = await self._import(CACHED_BYTES, number)
            self.ledger.cache.add(done, CACHED_BYTES, float(number))
            self.cached.append(done)
        self.collector.left_unix_s = None

    async def put(self, size_bytes: int) -> Cid:
        ahead = RoomAhead(self.disk, self.ledger, OpenOffers())
        async with self.collector.guards.guarded():
            return await self._import(size_bytes, 99, ahead)

    async def _import(self, size_bytes: int, seed: int, ahead: RoomAhead | None = None) -> Cid:
        look = None if ahead is None else ahead.look
        source = stream(size_bytes, seed)
        done = await import_source(self.disk, source, UNIXFS_V1_2025, _unseen, ahead=look)
        return done.cid

    def still_cached(self) -> list[Cid]:
        return [each.root for each in self.ledger.cache.oldest_first()]


def _unseen(done_bytes: int) -> None:
    """Progress."""


async def _play(size_bytes: int, went: int, world: World) -> None:
    scene = Scene(await world.peer("node"))
    await scene.fill()
    root = await scene.put(size_bytes)
    assert scene.disk.store.has(root)
    assert scene.still_cached() == scene.cached[went:]


@pytest.mark.parametrize(
    ("size_bytes", "went"),
    [(300 * KIB, 0), (3 * MIB, 1), (6 * MIB, 1), (12 * MIB, 3), (34 * MIB, 5)],
)
def test_the_cache_goes_as_a_stream_grows(size_bytes: int, went: int) -> None:
    play(partial(_play, size_bytes, went))


def test_what_does_not_fit_without_the_cache_either_is_refused() -> None:
    async def scene_of(world: World) -> None:
        scene = Scene(await world.peer("node"))
        await scene.fill()
        with pytest.raises(NoRoom):
            await scene.put(CAPACITY_BYTES + MIB)

    play(scene_of)
