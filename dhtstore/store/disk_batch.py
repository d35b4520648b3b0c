"""Writing to the disk store: stage in a pack, sync it, then name it in the index."""

from __future__ import annotations

import threading
from types import TracebackType

from dhtstore.errors import DhtstoreError, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.index import ROW_BYTES, Index, Row
from dhtstore.store.packs import PackWriter, header
from dhtstore.store.pool import PackPool
from dhtstore.store.quota import Quota, Room


class DiskBatch:
    """The Batch of a DiskBlockStore.  After a write failed it can only be discarded."""

    def __init__(self, pool: PackPool, index: Index, quota: Quota, room: Room | None) -> None:
        self._pool = pool
        self._index = index
        self._quota = quota
        self._room = room
        self._writers: list[PackWriter] = []  # the last one takes the next record
        self._known: dict[int, int] = {}  # pack -> where its committed part ends
        self._staged: dict[bytes, Row] = {}  # written or being written, not indexed yet
        self._writing = 0  # puts between reserve and written
        self._failed = False
        self._closed = False
        self._state = threading.Condition()
        self._committing = threading.Lock()
        self.relied: set[bytes] = set()  # stored by others, not to be deleted before commit

    def put(self, cid: Cid, data: bytes | bytearray | memoryview) -> bool:
        multihash, size = cid.multihash, len(data)
        if multihash in self._staged:
            return True
        if self._index.find_or_rely(multihash, self.relied):
            return False
        named = Cid(bytes((1, cid.codec)) + multihash)
        head = header(named, size)
        with self._state:
            if multihash in self._staged:
                return True
            writer, offset = self._reserve(len(head) + size)
            row = Row(multihash, writer.number, offset + len(head), size, cid.codec)
            self._staged[multihash] = row
            self._writing += 1
        self._write(writer, offset, head, data)
        return True

    def commit(self) -> None:
        with self._committing:
            with self._state:
                # Writes in flight lie below the end that this commit will declare known.
                self._state.wait_for(lambda: self._writing == 0)
                assert not self._closed, "a batch is used after it was left"
                if self._failed:
                    raise NoRoom("a write of this batch failed: it can only be discarded")
                rows, relied = dict(self._staged), set(self.relied)
                ends = {writer.number: writer.end for writer in self._writers}
                writers = [w for w in self._writers if w.end > self._known[w.number]]
            self._make_durable(writers, rows, ends)
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
            self._quota.give_back(ROW_BYTES * len(self._staged))
            self._staged.clear()
            for writer in self._writers:
                self._cut(writer)
                self._pool.checkin(writer)
            self._writers.clear()
            self._pool.closed(self)

    def _reserve(self, size: int) -> tuple[PackWriter, int]:
        """Called with the state held.  Quota first: nothing is written that has no room."""
        assert not self._closed, "a batch is used after it was left"
        self._quota.take(size + ROW_BYTES, self._room)
        try:
            writer = self._writer_for(size)
        except DhtstoreError:
            self._quota.give_back(size + ROW_BYTES)
            raise
        return writer, writer.reserve(size)

    def _writer_for(self, size: int) -> PackWriter:
        if not self._writers or self._writers[-1].end + size > self._pool.pack_size_bytes:
            writer = self._pool.checkout(size)
            self._writers.append(writer)
            self._known[writer.number] = writer.end
        return self._writers[-1]

    def _write(
        self, writer: PackWriter, offset: int, head: bytes, data: bytes | bytearray | memoryview
    ) -> None:
        failed = True
        try:
            writer.write(offset, head, data)
            failed = False
        finally:
            with self._state:
                self._failed |= failed
                self._writing -= 1
                if not self._writing:
                    self._state.notify_all()

    def _make_durable(
        self, writers: list[PackWriter], rows: dict[bytes, Row], ends: dict[int, int]
    ) -> None:
        if not writers:
            return
        try:
            for writer in writers:
                writer.sync()
            added = self._index.add(rows.values(), {w.number: ends[w.number] for w in writers})
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
