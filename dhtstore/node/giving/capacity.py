"""config capacity: give more of the disk, or less, while the node runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dhtstore.errors import InvalidSetting
from dhtstore.node.context import Disk
from dhtstore.node.ports import NodeSettings
from dhtstore.operations.nodes import CapacityChange, RoomStatus


@dataclass(frozen=True, slots=True)
class Capacity:
    """``keep`` writes a capacity down for the next start, in a worker; ``give`` lets all that goes
    by it follow; ``look`` tells of the room there is."""

    disk: Disk
    keep: Callable[[int], None]
    give: Callable[[NodeSettings], None]
    look: Callable[[], Awaitable[RoomStatus | None]]

    async def change(self, settings: NodeSettings, capacity_bytes: int) -> CapacityChange:
        """Raises InvalidSetting, HomeUnusable; then nothing has changed.

        Below what is used nothing new is taken, and what nothing keeps goes.  Claims stay: this
        node has signed for them.  To become a client or to be none any more takes a new start: what
        a client has promised nobody, and whom a holder tells of itself, is decided there.
        """
        before, store = settings.capacity_bytes, self.disk.store
        if capacity_bytes < 0:
            raise InvalidSetting("capacity: must not be negative")
        await self.disk.blocking.run(self.keep, capacity_bytes)
        if not settings.storage or not capacity_bytes:
            applied = before == capacity_bytes
            return CapacityChange(capacity_bytes, before, store.used_bytes, applied=applied)
        await self.disk.blocking.run(store.set_capacity, capacity_bytes)
        self.give(settings.giving(capacity_bytes))
        freed_bytes = await self._make_room(capacity_bytes)
        return CapacityChange(
            capacity_bytes,
            before,
            store.used_bytes,
            over=max(0, store.used_bytes - capacity_bytes),
            freed=freed_bytes,
            room=await self.look(),
        )

    async def _make_room(self, capacity_bytes: int) -> int:
        """What nothing keeps goes, if too much is used; how much went."""
        used_bytes = self.disk.store.used_bytes
        if used_bytes > capacity_bytes:
            await self.disk.make_room(used_bytes - capacity_bytes)
        return max(0, used_bytes - self.disk.store.used_bytes)
