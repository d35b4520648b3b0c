"""A block store that fails on demand, for tests and simulation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType

from dhtstore.config import format_size
from dhtstore.errors import BlockDamaged, HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.contract import (
    Batch,
    BlockStore,
    Compaction,
    Lend,
    Protection,
    Reservation,
    Swept,
)
from dhtstore.store.blocks.lent import Bytes, LentBlocks
from dhtstore.store.space import Space


class FaultyBlockStore:
    """Behaves as ``inner`` until a fault is armed."""

    def __init__(self, inner: BlockStore) -> None:
        self._inner = inner
        self._rotten: dict[bytes, int] = {}  # multihash -> position that picks the flipped bit
        self._room_bytes: int | None = None
        self._batches: list[FaultyBatch] = []

    def fill_disk(self, after_bytes: int = 0) -> None:
        """Every put that passes ``after_bytes`` more written bytes raises NoRoom."""
        self._room_bytes = after_bytes

    def free_disk(self) -> None:
        self._room_bytes = None

    def rot(self, cid: Cid, position: int = 0) -> None:
        """Flip one bit of the stored block, chosen by ``position``."""
        self._rotten[cid.multihash] = position

    def crash(self) -> None:
        """Lose what no commit has made durable; open batches are dead from here on."""
        for batch in self._batches:
            batch.kill()
        self._batches.clear()

    @property
    def batches_open(self) -> bool:
        """Whether anything is staged that no commit has made durable yet, or may be."""
        return bool(self._batches)

    def has(self, cid: Cid) -> bool:
        return self._inner.has(cid)

    def missing(self, cids: Sequence[Cid]) -> list[Cid]:
        return self._inner.missing(cids)

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        return self._inner.sizes(cids)

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        data = self.read(cid)
        if not cid.matches(data):
            raise BlockDamaged(f"block {cid} is damaged on disk")
        return data

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        data = bytes(self._inner.read(cid))
        position = self._rotten.get(cid.multihash)
        if position is None or not data:
            return data
        rotten = bytearray(data)
        rotten[position // 8 % len(data)] ^= 1 << position % 8
        return bytes(rotten)

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> Batch:
        batch = FaultyBatch(self, self._inner.batch(reservation, whole=whole))
        self._batches.append(batch)
        return batch

    def settle(self) -> bool:
        return self._inner.settle()

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Reservation:
        if self._room_bytes is not None and size_bytes > self._room_bytes:
            raise NoRoom(f"the disk has no room for {format_size(size_bytes)} more")
        return self._inner.reserve(size_bytes, at_least=at_least, blocks=blocks)

    def space(self) -> Space:
        space = self._inner.space()
        if self._room_bytes is None:
            return space
        return replace(space, disk_free_bytes=self._room_bytes)

    def lent(self) -> LentBlocks:
        return self._inner.lent()

    def delete(self, cids: Iterable[Cid]) -> None:
        gone = list(cids)
        self._inner.delete(gone)
        for cid in gone:
            self._rotten.pop(cid.multihash, None)

    @property
    def rebuilt(self) -> bool:
        return self._inner.rebuilt

    def compaction(self) -> Compaction:
        return self._inner.compaction()

    def protect(self) -> Protection:
        return self._inner.protect()

    def sweep(self, kept: Kept, after: bytes = b"", *, dry_run: bool = False) -> Swept:
        return self._inner.sweep(kept, after, dry_run=dry_run)

    def cids(self, after: bytes = b"") -> Iterator[Cid]:
        return self._inner.cids(after)

    def count(self) -> int:
        return self._inner.count()

    @property
    def used_bytes(self) -> int:
        return self._inner.used_bytes

    @property
    def capacity_bytes(self) -> int | None:
        return self._inner.capacity_bytes

    def set_capacity(self, capacity_bytes: int | None) -> None:
        self._inner.set_capacity(capacity_bytes)

    def close(self) -> None:
        self._inner.close()

    def spend(self, size_bytes: int) -> None:
        """Count bytes against a disk that fills up; raises NoRoom."""
        if self._room_bytes is None:
            return
        if size_bytes > self._room_bytes:
            raise NoRoom("no room on the disk for a block: No space left on device")
        self._room_bytes -= size_bytes

    def renewed(self, multihashes: Iterable[bytes]) -> None:
        """Whole copies took the place of these."""
        for multihash in multihashes:
            self._rotten.pop(multihash, None)

    def closed(self, batch: FaultyBatch) -> None:
        if batch in self._batches:
            self._batches.remove(batch)


class FaultyBatch:
    """A batch that a crash of its store can kill."""

    def __init__(self, store: FaultyBlockStore, inner: Batch) -> None:
        self._store = store
        self._inner = inner
        self._crashed = False

    def kill(self) -> None:
        self._crashed = True
        self._inner.close()

    @property
    def renewed(self) -> set[bytes]:
        return self._inner.renewed

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        self._check_store()
        if anew or not self._store.has(cid):
            self._store.spend(len(data))
        return self._inner.put(cid, data, anew=anew)

    def put_all(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool = False) -> list[bool]:
        return [self.put(cid, data, anew=anew) for cid, data in blocks]

    def read(self, cid: Cid) -> bytes:
        self._check_store()
        return self._inner.read(cid)

    def commit(self) -> None:
        self._check_store()
        before = set(self._inner.renewed)
        self._inner.commit()
        self._store.renewed(self._inner.renewed - before)

    def close(self) -> None:
        if not self._crashed:
            self._store.closed(self)
            self._inner.close()

    def __enter__(self) -> FaultyBatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_store(self) -> None:
        if self._crashed:
            raise HomeUnusable("the store crashed under this batch")
