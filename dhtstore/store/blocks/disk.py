"""Blocks on disk: packs hold the bytes, the index says where.

Order of truth: a pack's bytes are synced before the row that names them is written.  Each open
batch has packs of its own, so batches never meet in a file, and what a batch did not commit is
always a pack's tail, cut off at discard or at the next open.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from dhtstore.errors import BlockDamaged, BlockMissing, DhtstoreError, HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.accounts.index_files import IndexFiles
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.collecting.protections import Protected
from dhtstore.store.blocks.compacting.compaction import PackCompaction
from dhtstore.store.blocks.contract import Lend, Reservation, Swept
from dhtstore.store.blocks.index import PAGE_ROWS, ROW_BYTES, Index, Location
from dhtstore.store.blocks.index_database import IndexUnusable
from dhtstore.store.blocks.lent import LentBlocks
from dhtstore.store.blocks.packs import PACK_SIZE_BYTES, PackReaders
from dhtstore.store.blocks.pool import PackPool
from dhtstore.store.blocks.quota import Quota, Room, own_room
from dhtstore.store.blocks.recovery import (
    INDEX,
    bring_to_agreement,
    open_index,
    open_index_to_read,
    others_bytes,
)
from dhtstore.store.blocks.writing.disk_batch import DiskBatch
from dhtstore.store.space import Space

T = TypeVar("T", bytes, memoryview)

# What this process lacks says nothing of the block: taken for damage, it would be thrown away.
_SHORT_OF: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
SWEPT_ROWS: Final = 128  # of one transaction: a put beside it waits for a millisecond or two
REOPEN_AFTER_S: Final = 10.0  # between two tries to write to a store that can only be read


class DiskBlockStore:
    """A BlockStore in one directory; whoever opens it has made sure (Home.lock) to be alone.

    ``used_bytes`` counts all files in the directory (dead bytes of packs too, until their pack
    goes), reservations, and what is set aside for the index: ROW_BYTES for each row that is there,
    staged or to come, and the log of its next transaction.  It never passes the capacity, and the
    files never pass it; a table of blocks that are lent has no name there and does not count.  A
    file counts with its length.
    """

    def __init__(
        self,
        directory: Path,
        capacity_bytes: int | None,
        *,
        pack_size_bytes: int = PACK_SIZE_BYTES,
        beside: Callable[[], int] = lambda: 0,
        disk_reserve_bytes: int = 0,
        to_read: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Recovers from whatever ended the last use; on a disk that takes no writes, opens what
        it can to be read.  ``beside`` tells what other nodes have promised of this disk, and
        ``disk_reserve_bytes`` of what is free on it are left alone; ``to_read`` changes nothing on
        it.  Raises HomeUnusable, NoRoom."""
        self._directory, self._beside = directory, beside
        self._disk_reserve_bytes = disk_reserve_bytes
        self._quota = Quota(capacity_bytes, self._disk_left_bytes)
        self._opening, self._now_s = threading.Lock(), now_s
        self._tried_s = now_s()
        self._index, ends, self._quota.closed = _opened(directory, to_read)
        self._readers = PackReaders(directory)
        self._files = IndexFiles(directory / INDEX, self._quota)
        self._quota.other_bytes = others_bytes(directory)
        self._pool = PackPool(
            directory, ends, pack_size_bytes, self._quota, self._index, self._readers
        )
        self._index.charge_to(self._files)

    def has(self, cid: Cid) -> bool:
        return self._index.find(cid.multihash) is not None

    def missing(self, cids: Sequence[Cid]) -> list[Cid]:
        held = self._index.lengths([cid.multihash for cid in cids])
        return [cid for cid in cids if cid.multihash not in held]

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        lengths = self._index.lengths([cid.multihash for cid in cids])
        return [lengths.get(cid.multihash) for cid in cids]

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        data = _found(self._index, cid, self._readers.read_afresh if afresh else self._readers.read)
        if not cid.matches(data):
            raise BlockDamaged(f"block {cid} is damaged on disk")
        return data

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes | memoryview:
        if lend is None:
            return _found(self._index, cid, self._readers.read)
        return _found(self._index, cid, partial(self._readers.read_into, lend))

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> DiskBatch:
        self._open_to_write()
        room = own_room(reservation)
        batch = DiskBatch(self._pool, self._index, self._quota, room, whole=whole)
        self._pool.opened(batch)
        return batch

    def settle(self) -> bool:
        try:
            settled = self._index.staged.settle()
        except (NoRoom, HomeUnusable):
            return False
        if settled is None:
            return False
        self._pool.removed(settled.stored)
        rows = sum(settled.stored.values()) + settled.cleared
        self._quota.give_back(row_bytes=ROW_BYTES * rows)
        return True

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Room:
        self._open_to_write()
        try:
            return self._quota.reserve(size_bytes, at_least=at_least, blocks=blocks)
        except NoRoom:
            if not self._index.cut_log() and not self.settle():  # both take room, too
                raise
        return self._quota.reserve(size_bytes, at_least=at_least, blocks=blocks)

    def space(self) -> Space:
        try:
            index_bytes = self._files.lengths().bytes
            return self._quota.space(
                index_bytes, self._disk_free_bytes(), self._disk_reserve_bytes, self._beside()
            )
        except OSError as error:
            why = f"the disk cannot be asked for room: {error.strerror}"
            raise HomeUnusable(why) from error

    def _disk_free_bytes(self) -> int:
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize

    def _disk_left_bytes(self) -> int:
        """What may still be filled of the disk.  Raises NoRoom where that can't be told."""
        try:
            return self._disk_free_bytes() - self._disk_reserve_bytes
        except OSError as error:
            raise NoRoom(f"the disk cannot be asked for room: {error.strerror}") from error

    def _open_to_write(self) -> None:
        """Where the store was opened to be read only, try again, now and then.  Raises NoRoom."""
        with self._opening:
            due = self._now_s() - self._tried_s >= REOPEN_AFTER_S
            if self._quota.closed and due:
                self._tried_s = self._now_s()
                self._reopen()
            if self._quota.closed:
                raise NoRoom(f"what is stored can only be read: {self._quota.closed}")

    def _reopen(self) -> None:
        try:
            self._index.open_to_write()
            self._pool.restart(bring_to_agreement(self._index, self._directory))
        except (OSError, NoRoom, HomeUnusable, IndexUnusable) as error:
            self._quota.closed = str(error)
        else:
            self._quota.closed = ""

    def lent(self) -> LentBlocks:
        return LentBlocks(self._directory)

    def protect(self) -> Protected:
        return self._pool.protections.open()

    def sweep(self, kept: Kept, after: bytes = b"", *, dry_run: bool = False) -> Swept:
        self._pool.courtesy.wait()
        page = self._index.page(after, PAGE_ROWS if dry_run else SWEPT_ROWS)
        asked = [key for key, _, _ in page if key not in kept]
        if dry_run:
            asked = [key for key in asked if key not in self._pool.protections]
        elif asked:
            self._take_out(asked)
            left = self._index.lengths(asked)
            asked = [key for key in asked if key not in left]
        gone = set(asked)
        size_bytes = sum(length for key, _, length in page if key in gone)
        if not page and not dry_run:
            self._index.shrink()  # once: to cut pages off takes longer than to leave them to others
        return Swept(page[-1][0] if page else None, len(gone), size_bytes)

    def delete(self, cids: Iterable[Cid]) -> None:
        """Blocks that an open batch relies on are passed over.  A pack goes with its last block."""
        self._take_out([cid.multihash for cid in cids])
        self._index.shrink()

    def _take_out(self, multihashes: Sequence[bytes]) -> None:
        gone = self._index.remove(multihashes, self._pool.relying)
        self._quota.give_back(row_bytes=ROW_BYTES * sum(gone.values()))
        self._pool.removed(gone)

    @property
    def rebuilt(self) -> bool:
        return self._index.rebuilt

    def compaction(self) -> PackCompaction:
        self._open_to_write()
        while self.settle():
            pass  # rows that wait beside the index could not be moved
        return PackCompaction(self._index, self._pool, self._quota, self._readers)

    def cids(self, after: bytes = b"") -> Iterator[Cid]:
        return self._index.cids(after)

    def count(self) -> int:
        return self._pool.live_blocks()

    @property
    def used_bytes(self) -> int:
        return self._quota.used_bytes

    @property
    def capacity_bytes(self) -> int | None:
        return self._quota.capacity_bytes

    def set_capacity(self, capacity_bytes: int | None) -> None:
        self._quota.set_capacity(capacity_bytes)

    def close(self) -> None:
        try:
            self._readers.close()
        finally:
            self._index.close()


def _found(index: Index, cid: Cid, read_at: Callable[[int, int, int], T]) -> T:
    """Raises BlockMissing, BlockDamaged, HomeUnusable."""
    location, gone, data = index.find(cid.multihash), None, None
    while location is not None and location != gone:
        data = _read_at(cid, location, read_at)
        if data is not None and len(data) == location.length:
            return data
        location, gone = index.find(cid.multihash), location  # it may have moved
    if location is not None and data is not None:
        raise BlockDamaged(f"block {cid} is cut short on disk")
    raise BlockMissing(f"block {cid} is not held here")


def _read_at(cid: Cid, location: Location, read_at: Callable[[int, int, int], T]) -> T | None:
    """What is there, less than the block if the pack ends before its end; None if the pack has gone
    since the index was asked, with or without the block."""
    try:
        return read_at(location.pack, location.offset, location.length)
    except FileNotFoundError:
        return None
    except OSError as error:
        kind = HomeUnusable if error.errno in _SHORT_OF else BlockDamaged
        raise kind(f"block {cid} cannot be read: {error.strerror}") from error


def _opened(directory: Path, to_read: bool) -> tuple[Index, dict[int, int], str]:
    """The index, the length of each pack, and why nothing can be written."""
    if to_read:
        return *_opened_to_read(directory, HomeUnusable(f"cannot read {directory}")), "not asked to"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return *open_index(directory), ""
    except (OSError, NoRoom, HomeUnusable) as error:
        return *_opened_to_read(directory, error), str(error)


def _opened_to_read(directory: Path, error: Exception) -> tuple[Index, dict[int, int]]:
    """After ``error`` kept it from being opened to write; raises that if this does not help."""
    try:
        return open_index_to_read(directory)
    except (OSError, DhtstoreError):
        if isinstance(error, OSError):
            raise HomeUnusable(f"cannot use {directory}: {error.strerror or error}") from error
        raise error from None
