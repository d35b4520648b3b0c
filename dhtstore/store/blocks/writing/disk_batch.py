"""Writing to the disk store: stage in a pack, sync it, then name it in the index."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple

from dhtstore.errors import BlockMissing, DhtstoreError, LocalProtocolError, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.index import ROW_BYTES, Index, Relying
from dhtstore.store.blocks.lent import Bytes
from dhtstore.store.blocks.packs import PackWriter, header
from dhtstore.store.blocks.pool import PackPool
from dhtstore.store.blocks.quota import Quota, Room
from dhtstore.store.blocks.staged_table import Row
from dhtstore.store.blocks.writing.held_packs import HeldPacks
from dhtstore.store.blocks.writing.staged_rows import StagedRows

_GATHER_BELOW_BYTES: Final = 64 * KIB  # smaller blocks share a write
_GATHERED_BYTES: Final = 1 * MIB


class _Extent(NamedTuple):
    """Bytes to write to a pack at ``offset``."""

    writer: PackWriter
    offset: int
    parts: tuple[Bytes, ...]


class _Record(NamedTuple):
    """A block as it is to stand in a pack."""

    codec: int
    data: Bytes
    head: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.head) + len(self.data)


class DiskBatch:
    """The Batch of a DiskBlockStore.  After a write failed it can only be discarded."""

    def __init__(
        self, pool: PackPool, index: Index, quota: Quota, room: Room | None, *, whole: bool
    ) -> None:
        self._pool, self._index, self._quota = pool, index, quota
        self._room, self._whole = room, whole
        self._packs = HeldPacks(pool)
        self._rows = StagedRows(index, quota, room, whole=whole)
        self.renewed: set[bytes] = set()
        self._gathered: _Extent | None = None  # small records waiting for company
        self._writing = 0  # extents being written
        self._draining = False  # a commit waits for them; puts wait for it
        self._failed = self._closed = False
        self._over = False  # a whole batch that was committed
        self._state = threading.Condition()
        self._committing = threading.Lock()

    def relying(self) -> Relying:
        return self._rows.relying()

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        return self.put_all(((cid, data),), anew=anew)[0]

    def put_all(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool = False) -> list[bool]:
        multihashes = [cid.multihash for cid, _ in blocks]
        self._check_open()
        self._pool.protections.note(multihashes)  # before any sweep can look for who relies
        written = self._rows.written(multihashes, anew=anew)
        new = [block for block, was in zip(blocks, written, strict=True) if was is None]
        if new:
            with self._pool.courtesy.shown(self):
                self._stage(new, anew=anew)
        if self._whole:
            self._rows.spill(self._state)
        return [was is not False for was in written]

    def read(self, cid: Cid) -> bytes:
        row = self._rows.find(cid.multihash)
        data = b"" if row is None else self._pool.read(row.pack, row.offset, row.length)
        if row is None or not cid.matches(data):  # or its write is not done
            raise BlockMissing(f"block {cid} is not staged here")
        return data

    def commit(self) -> None:
        with self._committing, self._pool.courtesy.shown(self):
            new, anew, relied, ends = self._drain()
            self._make_durable(new, anew, ends)
            with self._state:
                self._rows.committed(new, anew, relied)
                self.renewed |= anew
                self._packs.committed(ends)
                self._over = self._whole

    def close(self) -> None:
        with self._committing, self._state:
            if self._closed:
                return
            self._state.wait_for(lambda: self._writing == 0)
            self._closed = True
            self._gathered = None
            self._pool.closed(self)
            self._rows.clear()
            self._packs.give_back()

    def __enter__(self) -> DiskBatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _stage(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool) -> None:
        """Each once; writes what is due, whatever becomes of those that come behind it."""
        with ExitStack() as due, self._state:
            self._state.wait_for(lambda: not self._draining)
            records = {
                cid.multihash: _Record(cid.codec, data, _head(cid, data))
                for cid, data in blocks
                if cid.multihash not in self._rows.new
            }
            if not records:
                return
            left_bytes = sum(record.size_bytes for record in records.values())
            self._take(left_bytes, ROW_BYTES * len(records))
            for number, (multihash, record) in enumerate(records.items()):
                try:
                    extent = self._place(multihash, record, anew=anew)
                except DhtstoreError:
                    left = ROW_BYTES * (len(records) - number)
                    self._quota.untake(left_bytes, self._room, row_bytes=left)
                    raise
                left_bytes -= record.size_bytes
                if extent is not None:
                    self._writing += 1
                    due.callback(self._write, extent)

    def _place(self, multihash: bytes, record: _Record, *, anew: bool) -> _Extent | None:
        """What is to be written now.  Raises NoRoom, HomeUnusable; called with the state held."""
        codec, data, head = record
        writer = self._packs.writer_for(record.size_bytes)
        offset = writer.reserve(record.size_bytes)
        row = Row(multihash, writer.number, offset + len(head), len(data), codec)
        self._rows.add(row, anew=anew)
        return self._gather(_Extent(writer, offset, (head, data)), len(data))

    def _drain(self) -> tuple[dict[bytes, Row], set[bytes], set[bytes], dict[int, int]]:
        """Everything put so far, written: its rows, those anew, the blocks relied on, the packs'
        ends."""
        with self._state:
            self._check_open()
            # A write in flight lies below the end that the commit will declare known.
            self._draining = True
            try:
                self._state.wait_for(lambda: self._writing == 0)
                self._write_gathered()
            finally:
                self._draining = False
                self._state.notify_all()
            if self._failed:
                raise NoRoom("a write of this batch failed: it can only be discarded")
            rows = self._rows
            return dict(rows.new), set(rows.anew), set(rows.relied), self._packs.ends()

    def _take(self, size_bytes: int, row_bytes: int) -> None:
        """Called with the state held.  Quota first: nothing is written that has no room."""
        self._check_open()
        try:
            self._quota.take(size_bytes, self._room, row_bytes=row_bytes)
        except NoRoom:
            if not self._index.cut_log():
                raise
            self._quota.take(size_bytes, self._room, row_bytes=row_bytes)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("a batch is used after it was left")
        if self._over:
            raise LocalProtocolError("a whole batch is used after its commit")

    def _gather(self, extent: _Extent, size: int) -> _Extent | None:
        """What is to be written now; called with the state held."""
        if size >= _GATHER_BELOW_BYTES:
            return extent
        before = self._gathered
        if before is not None and _adjoin(before, extent):
            buffer = before.parts[0]
            assert isinstance(buffer, bytearray)
            for part in extent.parts:
                buffer += part
            if len(buffer) < _GATHERED_BYTES:
                return None
            self._gathered = None
        else:
            self._gathered = extent._replace(parts=(bytearray().join(extent.parts),))
        return before

    def _write_gathered(self) -> None:
        """Called with the state held."""
        extent, self._gathered = self._gathered, None
        if extent is not None:
            self._writing += 1
            self._write(extent)

    def _write(self, extent: _Extent) -> None:
        failed = True
        try:
            extent.writer.write(extent.offset, extent.parts)
            with self._state:
                extent.writer.unwritten -= sum(map(len, extent.parts))
                left = self._packs.left()
            for writer in left:  # early, so that the commit is short and descriptors are few
                writer.sync()
                writer.close()
            failed = False
        finally:
            with self._state:
                self._failed |= failed
                self._writing -= 1
                if not self._writing:
                    self._state.notify_all()

    def _make_durable(self, new: dict[bytes, Row], anew: set[bytes], ends: dict[int, int]) -> None:
        grown = self._packs.grown(ends)
        if not grown:
            return
        try:
            self._packs.sync(grown)
            added, gone = self._rows.index(new, anew, grown, self._state)
        except DhtstoreError:
            # A failed fsync may have dropped the pages: a second one would lie.
            self._failed = True
            raise
        self._pool.added(added)
        self._pool.removed(gone)


def _head(cid: Cid, data: Bytes) -> bytes:
    return header(Cid(bytes((1, cid.codec)) + cid.multihash), len(data))


def _adjoin(before: _Extent, after: _Extent) -> bool:
    return before.writer is after.writer and before.offset + len(before.parts[0]) == after.offset
