"""import: the blocks of a CAR into the store, its roots pinned.

data path: bytes -> sections -> verified and committed in groups, in workers -> every block below
each root is here -> pins -> provider records.  What comes to nothing is collected, since nothing
names it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dhtstore.config import counted
from dhtstore.content.car.reader import CarBlock, CarReader, ForeignBlock
from dhtstore.content.car.sound import MetBlocks, sound_units
from dhtstore.errors import BlockMissing, MalformedCar, MalformedDag, NoRoom, UsageError
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger, in_steps
from dhtstore.node.copies.receive import Keeper
from dhtstore.node.flows.pin import Pinning
from dhtstore.node.keeping.staging import Staging
from dhtstore.operations.operation import Progress, Watch
from dhtstore.params import MIB
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.ledger.tiers.cache import Cache

_ROOM_WANTED_BYTES: Final = 256 * MIB  # of a stream, whose length nobody knows, once there is none

Pieces = AsyncIterator[bytes]


@dataclass(slots=True)
class CarTaken:
    """``blocks`` of ``size_bytes`` were in the file, ``skipped`` others of kinds that are not
    stored; the roots are ``pinned``, or cached."""

    roots: tuple[Cid, ...] = ()
    blocks: int = 0
    size_bytes: int = 0
    skipped: int = 0
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class CarImports:
    """``announce`` tells the network of a unit, and never fails."""

    disk: Disk
    ledger: Ledger
    clock: Clock
    staging: Staging
    pinning: Pinning
    announce: Callable[[Unit], Awaitable[object]]

    async def take(
        self,
        pieces: Pieces,
        *,
        name: str,
        partial_dags: bool,
        size_bytes: int | None,
        progress: Watch,
    ) -> CarTaken:
        """Store what ``pieces`` hold, of ``size_bytes`` if that is known, and pin the roots.

        With ``partial_dags`` blocks may be missing, and those of other kinds are skipped; what came
        is cached.  Raises MalformedCar, NoRoom, BlockMissing for a DAG that is not whole, and
        MalformedDag; nothing is kept then.  UsageError for a name that nothing would have."""
        if name and partial_dags:
            raise UsageError("a name is that of a pin, and with --partial nothing is pinned")
        async with self.staging.for_user():
            room = await self._set_aside(size_bytes)
            try:
                taking = _Taking(self.disk, self.ledger.cache, partial_dags, size_bytes, progress)
                came_bytes = await taking.take(pieces, room, self._check(name, partial_dags))
            finally:
                if room is not None:
                    room.release()
            found = taking.found
            if partial_dags:
                await self.disk.blocking.run(self._cache, found.roots, came_bytes)
            else:
                await self._pin(found.roots, name, progress)
                found.pinned = True
        return found

    async def _set_aside(self, size_bytes: int | None) -> Reservation | None:
        """None where nobody knows how much, or there is not as much: it may be here already."""
        if size_bytes is None:
            return None
        try:
            return await self.disk.reserve(size_bytes, at_least=True)
        except NoRoom:
            return None

    def _check(self, name: str, partial_dags: bool) -> Callable[[Sequence[Cid]], Awaitable[None]]:
        async def check(roots: Sequence[Cid]) -> None:
            if not roots:
                raise MalformedCar("it names no roots, so that nothing would keep its blocks", 0)
            if name and len(set(roots)) > 1:
                raise UsageError(f"one name cannot be that of {counted(len(roots), 'root')}")
            if not partial_dags:
                await self.pinning.check_name(roots[0], name)

        return check

    def _cache(self, roots: Sequence[Cid], came_bytes: int) -> None:
        """The first root counts for all of it: which root needs which block is not known."""
        for root in dict.fromkeys(roots):
            self.ledger.cache.add(root, came_bytes, self.clock.unix_s())
            came_bytes = 0

    async def _pin(self, roots: Sequence[Cid], name: str, progress: Watch) -> None:
        """All of them at once, and once all are found to be whole."""
        units, met = dict[Cid, list[Unit]](), MetBlocks()
        for root in dict.fromkeys(roots):
            units[root] = await self._whole(root, met, progress)
        await self.disk.blocking.run(self._write_pins, units, name)
        for below in units.values():
            for unit in below:
                progress(Progress("announcing", 0))
                await self.announce(unit)

    def _write_pins(self, units: dict[Cid, list[Unit]], name: str) -> None:
        names = self.pinning.earlier_names(units)
        self.ledger.pins.add_all(
            [(root, name or names[root], below) for root, below in units.items()]
        )
        self.ledger.cache.kept(*units)

    async def _whole(self, root: Cid, met: MetBlocks, progress: Watch) -> list[Unit]:
        """The units of a DAG that is all here.  Raises BlockMissing, MalformedDag."""
        steps = sound_units(self.disk.store, root, met)
        try:
            return await in_steps(
                self.disk.blocking, self.clock, steps, lambda: progress(Progress("verifying", 0))
            )
        except BlockMissing as error:
            text = f"the DAG of {root} is not whole: {error}"
            raise BlockMissing(text).hinted(
                "import --partial stores what there is, and `dhtstore get` fetches the rest"
            ) from error
        except MalformedDag as error:
            raise MalformedDag(f"the DAG of {root} is not sound: {error}").hinted(
                "import --partial stores its blocks as they are; a get ends where this is"
            ) from error


class _Taking:
    """The bytes of one file on their way into the store."""

    def __init__(
        self,
        disk: Disk,
        cache: Cache,
        partial_dags: bool,
        size_bytes: int | None,
        progress: Watch,
    ) -> None:
        self.found = CarTaken()
        self._disk, self._cache = disk, cache
        self._partial, self._progress = partial_dags, progress
        self._size_bytes, self._reader = size_bytes, CarReader()

    async def take(
        self,
        pieces: Pieces,
        room: Reservation | None,
        check: Callable[[Sequence[Cid]], Awaitable[None]],
    ) -> int:
        """How much was stored; ``check`` is awaited with the roots."""
        run, done_bytes, checked = self._disk.blocking.run, 0, False
        async with self._disk.batch(room) as batch:
            keeper = Keeper(self._disk.store, batch)
            async for piece in pieces:
                await self._keep(keeper, await run(self._read, piece))
                if self._reader.roots is not None and not checked:
                    self.found.roots, checked = self._reader.roots, True
                    await check(self._reader.roots)
                done_bytes += len(piece)
                self._progress(Progress("reading", done_bytes, self._size_bytes))
            self._reader.end()
            await run(batch.commit)
        return keeper.stored_bytes

    def _read(self, piece: bytes) -> list[tuple[Cid, bytes | memoryview]]:
        """Verified.  In workers."""
        right: list[tuple[Cid, bytes | memoryview]] = []
        for block in self._reader.feed(piece):
            if isinstance(block, ForeignBlock):
                self._skip(block)
                continue
            _verify(block)
            self.found.blocks += 1
            self.found.size_bytes += len(block.data)
            if block.cid.inlined is None:
                right.append((block.cid, block.data))
        return right

    def _skip(self, block: ForeignBlock) -> None:
        if not self._partial:
            raise MalformedCar(
                f"the block at byte {block.offset} is of a kind that is not stored here:"
                f" {block.kind}",
                block.offset,
            ).hinted("import --partial leaves such blocks out")
        self.found.skipped += 1

    async def _keep(self, keeper: Keeper, blocks: list[tuple[Cid, bytes | memoryview]]) -> None:
        """What nothing keeps gives way to it."""
        keep = partial(keeper.keep, blocks)
        try:
            await self._disk.blocking.run(keep)
        except NoRoom:
            if not await self._disk.make_room(await self._wanted_bytes(blocks)):
                raise
            await self._disk.blocking.run(keep)

    async def _wanted_bytes(self, blocks: Sequence[tuple[Cid, bytes | memoryview]]) -> int:
        """Nobody knows how much is still to come: what is cached gives way in large steps, so that
        there are few collections, and no more is wanted than there can be."""
        run = self._disk.blocking.run
        needed_bytes = sum(stored_bytes(cid, len(data)) for cid, data in blocks)
        free_bytes = (await run(self._disk.store.space)).free_bytes or 0
        there_bytes = free_bytes + await run(self._cache.size_bytes)
        return max(needed_bytes, min(_ROOM_WANTED_BYTES, there_bytes))


def _verify(block: CarBlock) -> None:
    if not block.cid.matches(block.data):
        raise MalformedCar(
            f"the block at byte {block.offset} does not hash to its CID {block.cid}", block.offset
        )
