"""Writing to the disk store: stage in a pack, sync it, then name it in the index."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Final, NamedTuple

from dhtstore.errors import DhtstoreError, LocalProtocolError, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.index import ROW_BYTES, Index, Row
from dhtstore.store.blocks.packs import PackWriter, header
from dhtstore.store.blocks.pool import PackPool
from dhtstore.store.blocks.quota import Quota, Room

_GATHER_BELOW_BYTES: Final = 64 * KIB  # smaller blocks share a write
_GATHERED_BYTES: Final = 1 * MIB


class _Extent(NamedTuple):
    """Bytes to write to a pack at ``offset``."""

    writer: PackWriter
    offset: int
    parts: tuple[bytes | bytearray | memoryview, ...]


class DiskBatch:
    """The Batch of a DiskBlockStore.  After a write failed it can only be discarded."""

    def __init__(self, pool: PackPool, index: Index, quota: Quota, room: Room | None) -> None:
        self._pool = pool
        self._index = index
        self._quota = quota
        self._room = room
        self._writers: list[PackWriter] = []  # the last one takes the next record
        self._known: dict[int, int] = {}  # pack -> where its committed part ends
        self._staged: dict[bytes, Row] = {}  # reserved in a pack, not indexed yet
        self._gathered: _Extent | None = None  # small records waiting for company
        self._writing = 0  # extents being written
        self._draining = False  # a commit waits for them; puts wait for it
        self._failed = False
        self._closed = False
        self._state = threading.Condition()
        self._committing = threading.Lock()
        self.relied: set[bytes] = set()  # stored by others, not to be deleted before commit

    def put(self, cid: Cid, data: bytes | bytearray | memoryview) -> bool:
        multihash, size = cid.multihash, len(data)
        self._check_open()
        if multihash in self._staged:
            return True
        if self._index.find_or_rely(multihash, self.relied):
            return False
        named = Cid(bytes((1, cid.codec)) + multihash)
        head = header(named, size)
        with self._state:
            self._state.wait_for(lambda: not self._draining)
            if multihash in self._staged:
                return True
            writer, offset = self._reserve(len(head) + size)
            row = Row(multihash, writer.number, offset + len(head), size, cid.codec)
            self._staged[multihash] = row
            extent = self._gather(_Extent(writer, offset, (head, data)), size)
            self._writing += extent is not None
        if extent is not None:
            self._write(extent)
        return True

    def commit(self) -> None:
        with self._committing:
            rows, relied, ends = self._drain()
            self._make_durable(rows, ends)
            with self._state:
                for multihash in rows:
                    del self._staged[multihash]
                self._known.update(ends)
                self.relied -= relied
                self._release_full()

    def __enter__(self) -> DiskBatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._committing, self._state:
            self._state.wait_for(lambda: self._writing == 0)
            self._closed = True
            self._pool.closed(self)
            self._gathered = None
            self._quota.give_back(ROW_BYTES * len(self._staged))
            self._staged.clear()
            with ExitStack() as each:  # all are given back, whatever one of them raises
                for writer in self._writers:
                    each.callback(self._pool.checkin, writer)
                    each.callback(self._cut, writer)
            self._writers.clear()

    def _drain(self) -> tuple[dict[bytes, Row], set[bytes], dict[int, int]]:
        """Everything put so far, written: its rows, the blocks relied on, the packs' ends."""
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
            ends = {writer.number: writer.end for writer in self._writers}
            return dict(self._staged), set(self.relied), ends

    def _reserve(self, size: int) -> tuple[PackWriter, int]:
        """Called with the state held.  Quota first: nothing is written that has no room."""
        self._check_open()
        self._quota.take(size + ROW_BYTES, self._room)
        try:
            writer = self._writer_for(size)
        except DhtstoreError:
            self._quota.give_back(size + ROW_BYTES)
            raise
        return writer, writer.reserve(size)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("a batch is used after it was left")

    def _writer_for(self, size: int) -> PackWriter:
        if not self._writers or self._writers[-1].end + size > self._pool.pack_size_bytes:
            writer = self._pool.checkout(size)
            self._writers.append(writer)
            self._known[writer.number] = writer.end
        return self._writers[-1]

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
            failed = False
        finally:
            with self._state:
                self._failed |= failed
                self._writing -= 1
                if not self._writing:
                    self._state.notify_all()

    def _make_durable(self, rows: dict[bytes, Row], ends: dict[int, int]) -> None:
        grown = {number: end for number, end in ends.items() if end > self._known[number]}
        if not grown:
            return
        try:
            for writer in [writer for writer in self._writers if writer.number in grown]:
                writer.sync()
            added = self._index.add(rows.values(), grown)
        except DhtstoreError:
            # A failed fsync may have dropped the pages: a second one would lie.
            self._failed = True
            raise
        self._pool.added(added)
        self._quota.give_back(ROW_BYTES * (len(rows) - sum(added.values())))

    def _release_full(self) -> None:
        """Hand back all packs but the one in use; called with the state held."""
        for writer in self._writers[:-1]:
            if writer.end == self._known[writer.number]:
                self._writers.remove(writer)
                self._pool.checkin(writer)

    def _cut(self, writer: PackWriter) -> None:
        known = self._known[writer.number]
        if writer.end > known:
            self._quota.give_back(writer.end - known)
            writer.truncate(known)


def _adjoin(before: _Extent, after: _Extent) -> bool:
    return before.writer is after.writer and before.offset + len(before.parts[0]) == after.offset
