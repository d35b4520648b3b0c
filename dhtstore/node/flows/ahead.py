"""Room for what nobody knows the length of: what is cached gives way as it grows, not before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.open_offers import OpenOffers
from dhtstore.params import GIB, KIB, MIB

_MARGIN_BYTES: Final = 4 * MIB  # two leaves, what lies above them, and the index of a small commit
_BLOCK_BYTES: Final = 2 * KIB + 128  # of the index and its log that a row may take: index_files


@dataclass(slots=True)
class RoomAhead:
    """Called as a stream or an archive is stored.  As much as came is made free at a time, up to
    1 GiB: so collections are few, and of a small stream little more is evicted than it takes."""

    disk: Disk
    ledger: Ledger
    offers: OpenOffers
    _look_bytes: float = 0

    async def look(self, written_bytes: int, uncommitted_blocks: int) -> None:
        """So many bytes were written, with small blocks counted as more than they are.  Where there
        is no room the next write raises NoRoom, this does not."""
        if written_bytes < self._look_bytes:
            return
        needed_bytes = _MARGIN_BYTES + uncommitted_blocks * _BLOCK_BYTES
        free_bytes = await self._free_bytes()
        while free_bytes < needed_bytes and await self._more(
            free_bytes, needed_bytes, min(written_bytes, GIB)
        ):
            free_bytes = await self._free_bytes()
        self._look_bytes = written_bytes + max(MIB, (free_bytes - needed_bytes) / 2)

    async def _more(self, free_bytes: float, needed_bytes: int, more_bytes: int) -> bool:
        """Whether anything gave way: what is cached, then what others only offered."""
        cached_bytes = await self.disk.blocking.run(self.ledger.cache.size_bytes)
        most_bytes = int(free_bytes) + cached_bytes
        wanted_bytes = min(needed_bytes + more_bytes, most_bytes) if cached_bytes else needed_bytes
        return await self.disk.make_room(wanted_bytes) or self.offers.make_room_for_own()

    async def _free_bytes(self) -> float:
        free_bytes = (await self.disk.blocking.run(self.disk.store.space)).free_bytes
        return float("inf") if free_bytes is None else free_bytes
