"""More of the disk, or less, while a node runs: all that goes by the capacity follows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk
from dhtstore.node.giving.capacity import Capacity
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.nodes import CapacityChange, RoomStatus
from dhtstore.params import MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from tests.conformance.block_stores import block, put

GIVING = NodeSettings(capacity_bytes=8 * MIB, owner_quota_bytes=4 * MIB, owner_divisor=2)


async def _nothing_told() -> RoomStatus | None:
    return None


class Giver:
    """Says what it was told."""

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self.store = MemoryBlockStore(settings.capacity_bytes or None)
        self.kept: list[int] = []
        self.wanted: list[int] = []

    def change(self, capacity_bytes: int) -> CapacityChange:
        def give(settings: NodeSettings) -> None:
            self.settings = settings

        async def run() -> CapacityChange:
            blocking = ThreadBlocking()
            disk = Disk(self.store, blocking, make_room=self._make_room())
            try:
                capacity = Capacity(disk, self.kept.append, give, _nothing_told)
                return await capacity.change(self.settings, capacity_bytes)
            finally:
                await blocking.close()

        return asyncio.run(run())

    def _make_room(self) -> Callable[[int], Awaitable[bool]]:
        async def make_room(size_bytes: int) -> bool:
            """A block that nothing keeps."""
            self.wanted.append(size_bytes)
            self.store.delete([block(1, MIB)[0]])
            return True

        return make_room


def test_what_goes_by_the_capacity_follows() -> None:
    giver = Giver(GIVING)
    changed = giver.change(20 * MIB)
    assert (changed.capacity, changed.before, changed.over) == (20 * MIB, 8 * MIB, 0)
    assert (giver.store.capacity_bytes, giver.kept) == (20 * MIB, [20 * MIB])
    assert giver.settings == replace(GIVING, capacity_bytes=20 * MIB, owner_quota_bytes=10 * MIB)
    assert giver.wanted == []


def test_a_quota_for_one_owner_that_was_chosen_stays() -> None:
    giver = Giver(replace(GIVING, owner_divisor=0))
    giver.change(20 * MIB)
    assert giver.settings.owner_quota_bytes == 4 * MIB


def test_below_the_use_what_nothing_keeps_goes_and_the_rest_stays() -> None:
    giver = Giver(GIVING)
    put(giver.store, block(1, MIB), block(2, MIB), block(3, MIB))
    used = giver.store.used_bytes
    changed = giver.change(MIB)
    assert giver.wanted == [used - MIB]
    assert (giver.store.count(), changed.used) == (2, giver.store.used_bytes)
    assert changed.freed == used - giver.store.used_bytes
    assert changed.over == giver.store.used_bytes - MIB > MIB


def test_a_client_stays_one_until_its_next_start_and_the_other_way_round() -> None:
    client = Giver(NodeSettings())
    changed = client.change(8 * MIB)
    assert (changed.applied, client.kept, client.settings) == (False, [8 * MIB], NodeSettings())
    holder = Giver(GIVING)
    assert not holder.change(0).applied
    assert (holder.kept, holder.settings, holder.store.capacity_bytes) == ([0], GIVING, 8 * MIB)
