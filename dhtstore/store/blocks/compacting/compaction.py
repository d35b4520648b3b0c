"""Room in packs comes back: what is live of those that are mostly dead moves to others, in steps.

data path: survey -> packs with a large dead share, cheapest first -> their rows, the last of the
pack first -> records copied and synced -> ``Index.move`` -> the end of the pack is cut off, so that
little room is enough -> a pack without live blocks goes.
A crash leaves a copy that no row names, which the next open cuts off, or the same block twice in
no index: order of truth is that of every commit.
"""

from __future__ import annotations

from typing import Final

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.blocks.compacting.pending_rows import PendingRows
from dhtstore.store.blocks.compacting.row_pages import RowPages
from dhtstore.store.blocks.compacting.survey import PackSurvey, PackUse
from dhtstore.store.blocks.compacting.target import CopyTarget
from dhtstore.store.blocks.index import Index
from dhtstore.store.blocks.packs import PackReaders, header
from dhtstore.store.blocks.pool import PackPool
from dhtstore.store.blocks.quota import Quota
from dhtstore.store.blocks.staged_table import Row

DEAD_SHARE_MIN: Final = 1 / 4  # of a pack: a byte comes back for three that are copied, at worst
ROWS_AT_ONCE: Final = 131_072  # of packs that one look at the index serves: 30 MB of memory
_STEP_BYTES: Final = 1 * MIB  # copied in one step, verified: a millisecond or two
_STEP_ROWS: Final = 64
_MOVED_AT_ONCE: Final = 64  # rows of one transaction: whoever puts waits for few
_SYNC_BYTES: Final = 16 * MIB  # copied for one fsync
DAMAGED_TOLD_MAX: Final = 1000


class PackCompaction:
    """One round over the packs of a store; one thread at a time.  ``freed_bytes`` are of packs that
    went, less what was copied; ``damaged`` names blocks that were met and are not what they are
    called: they are carried along as they are, or stay where they are if they cannot be read.
    ``full`` once there was no room for a copy."""

    def __init__(self, index: Index, pool: PackPool, quota: Quota, readers: PackReaders) -> None:
        self._index, self._pool, self._readers = index, pool, readers
        self._pages = RowPages(index.database)
        self._survey = PackSurvey(index, pool)
        self._due: list[PackUse] | None = None  # packs to be looked at, the cheapest last
        self._group: list[int] = []  # those that are at work, ours alone
        self._after: bytes | None = None  # how far their rows are read
        self._reading = False  # rows that are copied together
        self._rows = PendingRows()  # read and not copied
        self._copied: list[tuple[Row, int]] = []  # and not moved: each with the offset of its copy
        self._synced = 0  # the first so many of them
        self._target = CopyTarget(pool, quota)
        self._crowded = False  # there is no place in it for the next record
        self._tight = False  # no room for that until what was copied has moved
        self._stuck_end = 0  # of the pack at work: up to where blocks stay that cannot be read
        self.copied_bytes = self._gone_bytes = 0
        self.damaged: list[Cid] = []
        self.full = False

    @property
    def freed_bytes(self) -> int:
        return self._gone_bytes - self.copied_bytes

    def look(self) -> bool:
        """A step of the survey that comes first; False when it is done."""
        self._pool.courtesy.wait()
        return self._survey.look()

    def dead_bytes(self) -> tuple[int, int]:
        """After the survey: all there are, and those of packs that are worth the work."""
        uses = self._survey.packs()
        worth = [use.dead_bytes for use in uses if _is_worth(use)]
        return sum(use.dead_bytes for use in uses), sum(worth)

    def step(self) -> bool:
        """Some milliseconds of work; False at the end.  Raises HomeUnusable, and NoRoom of the
        index; ``close`` is due then."""
        if self._due is None:
            if self.look():
                return True
            self._due = sorted(filter(_is_worth, self._survey.packs()), key=_price, reverse=True)
        self._pool.courtesy.wait()
        if self._synced:
            self._move()
        elif self._copied and self._copied_enough():
            self._sync()
        elif self._crowded:
            self._leave()
        elif self.full or not (self._group or self._due):
            self.close()
            return False
        else:
            self._go_on()
        return True

    def _copied_enough(self) -> bool:
        """For now: one pack is done before the next, so that no more than its live bytes are there
        twice."""
        ended = self._crowded or self._tight or self.full or not self._rows
        return ended or self._rows.next.pack != self._copied[-1][0].pack

    def _go_on(self) -> None:
        if self._reading or (self._after is not None and not self._rows):
            self._read_rows()
        elif self._rows and (self._after is not None or self._rows.next.pack == self._group[-1]):
            self._copy()
        elif self._group:
            self._put_back()
        else:
            self._begin()

    def close(self) -> None:
        """What was copied and not moved is cut off.  May be called twice."""
        self._rows.clear()
        self._copied.clear()
        self._synced, self._after, self._reading = 0, None, False
        self._leave()
        while self._group:
            self._put_back()

    def _leave(self) -> None:
        self._crowded = False
        self._target.leave()

    def _put_back(self) -> None:
        self._gone_bytes += self._pool.put_back(self._group.pop())
        self._stuck_end = 0

    def _begin(self) -> None:
        """Take as many packs as one look at the index serves."""
        rows = 0
        assert self._due is not None, "the survey came first"
        while self._due and (not self._group or rows + self._due[-1].live <= ROWS_AT_ONCE):
            use = self._due.pop()
            if self._pool.take_apart(use.pack):
                self._group.append(use.pack)
                rows += use.live
        self._group.sort(reverse=True)  # in the order of rows
        self._after = b"" if self._group else None

    def _read_rows(self) -> None:
        """The next page of rows; those that are read before any is copied, in the order of their
        packs."""
        assert self._after is not None, "there are more"
        more, self._after = self._pages.rows_of(self._group, self._after)
        self._rows.add(more)
        self._reading = self._after is not None and len(self._rows) < ROWS_AT_ONCE

    def _copy(self) -> None:
        parts: list[bytes] = []
        size_bytes, pack = 0, self._rows.next.pack
        while self._rows and size_bytes < _STEP_BYTES and len(parts) < 2 * _STEP_ROWS:
            row = self._rows.next
            if row.pack != pack:
                break
            data = self._read(row)
            if data is None:
                self._rows.pop()
                self._stuck_end = max(self._stuck_end, row.offset + row.length)
                continue
            head = header(Cid(bytes((1, row.codec)) + row.multihash), row.length)
            offset = self._place(len(head) + len(data))
            if offset is None:
                break
            self._copied.append((self._rows.pop(), offset + len(head)))
            parts += (head, data)
            size_bytes += len(head) + len(data)
        if parts:
            self._target.write(parts, size_bytes)
            self.copied_bytes += size_bytes
            if self._target.unknown_bytes >= _SYNC_BYTES:
                self._sync()

    def _read(self, row: Row) -> bytes | None:
        """None for what cannot be read: its row stays, and so does the pack."""
        cid = Cid(bytes((1, row.codec)) + row.multihash)
        try:
            data = self._readers.read(row.pack, row.offset, row.length)
        except OSError:
            data = b""
        if not cid.matches(data) and len(self.damaged) < DAMAGED_TOLD_MAX:
            self.damaged.append(cid)
        return data if len(data) == row.length else None

    def _place(self, size_bytes: int) -> int | None:
        """In the pack that is copied to, and in the quota: before a byte is written."""
        self._crowded = not self._target.fits(size_bytes)
        if self._crowded:
            return None
        try:
            return self._target.reserve(size_bytes)
        except NoRoom:
            self._tight = bool(self._copied)
            self.full = not self._tight
            return None

    def _sync(self) -> None:
        self._target.sync()
        self._synced = len(self._copied)

    def _move(self) -> None:
        """Some of what was copied and synced; the others wait for no more than that."""
        some, self._copied = self._copied[:_MOVED_AT_ONCE], self._copied[_MOVED_AT_ONCE:]
        self._synced -= len(some)
        row, offset = some[-1]
        known = self._target.known_up_to(offset + row.length)
        left = self._index.move(some, self._target.number, known)
        self._pool.added({self._target.number: sum(left.values())})
        self._pool.removed(left)
        if not self._copied:
            self._tight = False
            self._shorten(row.pack)

    def _shorten(self, pack: int) -> None:
        """Cut off what has moved, once all rows of the pack are known: they come from its end."""
        if self._after is not None:
            return
        next_row = self._rows.next if self._rows and self._rows.next.pack == pack else None
        end = 0 if next_row is None else next_row.offset + next_row.length
        self._gone_bytes += self._pool.shorten(pack, max(end, self._stuck_end))


def _is_worth(use: PackUse) -> bool:
    return use.dead_bytes >= DEAD_SHARE_MIN * use.end and use.dead_bytes > 0


def _price(use: PackUse) -> float:
    """Bytes copied for one that comes back."""
    return use.live_bytes / use.dead_bytes
