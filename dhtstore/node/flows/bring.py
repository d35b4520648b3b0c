"""Bring a source in for a put: into the store if it fits there, else by reference.

data path: source -> measured, a listing for a tree -> room set aside, before which open offers of
others give way; for a stream, as it grows -> blocks in the store; or, where others are to hold what
does not fit here, a table of where each leaf stands in the source.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from dhtstore.config import format_size
from dhtstore.content.builders.importer import Profile
from dhtstore.content.dag.local import BlocksHere
from dhtstore.errors import NoRoom, SourceChanged, UnreadableSource
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger, surely
from dhtstore.node.copies.open_offers import OpenOffers
from dhtstore.node.copies.serve_blocks import Lending
from dhtstore.node.flows.ahead import RoomAhead
from dhtstore.node.flows.copy_meter import PutMeter
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.measure import SourceSize, measure
from dhtstore.node.importing.source import ReadableAgain, Source, import_into, import_source
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.blocks.lent import LentBlocks
from dhtstore.store.space import Space

_ALONE: Final = (
    "no other storage node is known here that could take it",
    "free disk space, raise --capacity, or let other storage nodes join",
)
_READ_ONCE: Final = (
    "a stream or an archive is not read again for others to fetch",
    "put the file or directory itself, free disk space or raise --capacity",
)


@dataclass(frozen=True, slots=True)
class Brought:
    """What a source became, where its blocks can be read, and whether they are in the store."""

    imported: Imported
    blocks: BlocksHere
    lent: LentBlocks | None = None

    @property
    def kept(self) -> bool:
        return self.lent is None


@dataclass(frozen=True, slots=True)
class Bringing:
    """``lending`` is where holders are served from; ``others`` tells how many other storage nodes
    are known to be alive."""

    disk: Disk
    ledger: Ledger
    clock: Clock
    offers: OpenOffers
    lending: Lending
    others: Callable[[], int]

    @asynccontextmanager
    async def bring(
        self, source: Source, meter: PutMeter, manner: Manner | None = None
    ) -> AsyncIterator[Brought]:
        """What is lent can be had for as long as this lasts.

        Raises SourceChanged, UnreadableSource, and NoRoom, which says of what the room is: before
        anything is read, if the size of the source is known and nobody else could take it."""
        manner = manner or Manner()
        size = await measure(self.disk, source, manner.profile)
        meter.sized(size.size_bytes if size else None)
        imported = await self._stored(source, size, meter, manner)
        if imported is not None:
            yield Brought(imported, self.disk.store)
            return
        assert isinstance(source, ReadableAgain), "others are refused"
        lent = await self.disk.blocking.run(self.disk.store.lent)
        try:
            yield await self._by_reference(source, lent, meter, manner)
        finally:
            self.lending.withdraw(lent)
            await surely(self.disk.blocking, lent.close)

    @asynccontextmanager
    async def unchanged(self, brought: Brought) -> AsyncIterator[None]:
        """Ends what is done with it once its source turns out to have changed: raises that."""
        if brought.lent is None:
            yield
            return
        async with self.lending.unchanged(brought.lent):
            yield

    # --- into the store -----------------------------------------------------------------------

    async def _stored(
        self,
        source: Source,
        size: SourceSize | None,
        meter: PutMeter,
        manner: Manner,
    ) -> Imported | None:
        """None if there is no room for it here, but others may have."""
        needed_bytes = size.needed_bytes if size else 0
        room = await self._set_aside(needed_bytes) if size else None
        ahead = None if size else RoomAhead(self.disk, self.ledger, self.offers)
        try:
            if room is None and size and await self._all_new(source, size):
                await self._refuse_unless_others(source, needed_bytes, None)
                return None
            return await import_source(
                self.disk,
                source,
                manner.profile,
                meter.read,
                room=room,
                manner=manner,
                ahead=None if ahead is None else ahead.look,
            )
        except NoRoom as error:
            if room is not None:
                room.release()  # it is not to be told as taken by somebody
            await self._refuse_unless_others(source, needed_bytes, error)
            return None
        finally:
            if room is not None:
                room.release()

    async def _set_aside(self, size_bytes: int) -> Reservation | None:
        """What nothing keeps gives way; own puts come first, so what others only offered, too.
        None if that is not enough."""
        while True:
            try:
                return await self.disk.reserve(size_bytes, at_least=True)
            except NoRoom:
                if not self.offers.make_room_for_own():
                    return None

    async def _all_new(self, source: Source, size: SourceSize) -> bool:
        """Whether what is looked at of the source is not here yet, nor twice in it: else it may
        take less than its size, which only shows by reading all of it."""
        seen = set[bytes]()
        for path, offset in size.sample:
            cid = await self.disk.blocking.run(_leaf_at, source, path, offset, size.profile)
            if cid is None:
                continue
            if cid.multihash in seen or await self.disk.blocking.run(self.disk.store.has, cid):
                return False
            seen.add(cid.multihash)
        return True

    # --- by reference -------------------------------------------------------------------------

    async def _by_reference(
        self, source: ReadableAgain, lent: LentBlocks, meter: PutMeter, manner: Manner
    ) -> Brought:
        lent.reads_from(source.read_at)
        batch = ImportBatch(
            self.disk, manner.profile, lent.batch(), meter.read, lent=lent, manner=manner
        )
        imported = await import_into(batch, source)
        self.lending.lend(lent)
        return Brought(imported, lent, lent)

    async def _refuse_unless_others(
        self, source: Source, needed_bytes: int, error: NoRoom | None
    ) -> None:
        """Raises NoRoom, for a disk that takes no writes in any case: what came of the put could
        not be written down."""
        space = await self.disk.blocking.run(self.disk.store.space)
        if space.closed:
            raise error or NoRoom(f"what is stored can only be read: {space.closed}")
        readable_again = isinstance(source, ReadableAgain)
        if readable_again and self.others():
            return
        there = await self.disk.blocking.run(self._there, space)
        needed = f"{format_size(needed_bytes)} are needed here, and " if needed_bytes else ""
        why, hint = _ALONE if readable_again else _READ_ONCE
        raise NoRoom(f"{needed}{there}; {why}").hinted(hint) from error

    def _there(self, space: Space) -> str:
        """What room there is and what the rest is; in a worker."""
        parts = [f"{format_size(space.free_bytes or 0)} are left"]
        if space.capacity_bytes is not None:
            held = self.ledger.claims.holdings(self.clock.unix_s())
            parts[0] += f" of the {format_size(space.capacity_bytes)} that this node gives"
            parts.append(f"{format_size(held.own_bytes)} are our own data")
            parts.append(f"{format_size(held.others_bytes)} that of others")
            parts.append(f"{format_size(space.reserved_bytes)} set aside for open offers")
        if space.disk_free_bytes is not None:
            parts.append(f"the disk has {format_size(space.disk_free_bytes)} free")
        return ", ".join(parts)


def _leaf_at(source: Source, path: tuple[str, ...], offset: int, profile: Profile) -> Cid | None:
    """What stands there now; None if it cannot be read, which the import tells better."""
    assert isinstance(source, ReadableAgain), "others are not measured"
    with suppress(SourceChanged, UnreadableSource):
        data = source.read_at(path, offset, profile.chunk_size_bytes)
        return profile.leaf(data[: profile.cut(memoryview(data))]).cid
    return None
