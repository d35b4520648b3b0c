"""How much room there is: one counter, checked before a byte is written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dhtstore.config import format_size
from dhtstore.errors import LocalProtocolError, NoRoom
from dhtstore.params import KIB, MIB
from dhtstore.store.space import Space

# Beside its rows a commit of a few blocks splits some pages of the index and has them in the log,
# too, and one of many more: set aside with each reservation, since those leave nothing else.
_COMMIT_BYTES: Final = 128 * KIB
_INDEX_PART: Final = 64  # a row of 64 bytes twice, for blocks of 8 KiB and more
_ROW_TWICE_BYTES: Final = 128  # where it is known how many blocks come
_COMMITTED_AT_ONCE: Final = 4096 + 64  # rows: writing.staged_rows, and what is put meanwhile
_COMMIT_ROW_BYTES: Final = 2 * KIB + 64  # a quarter of a page and its frame: accounts.index_files
_LOOK_EACH_BYTES: Final = 1 * MIB  # written between two looks at the disk


@dataclass(frozen=True, slots=True)
class _IndexCharge:
    """``total_bytes`` are the files or may be soon, of which the database is ``file_bytes``;
    ``aside_bytes`` are kept beside it.  ``planned`` are both after the transaction that is under
    way."""

    total_bytes: int = 0
    file_bytes: int = 0
    aside_bytes: int = 0
    planned: tuple[int, int] = (0, 0)

    def kept(self, row_bytes: int) -> int:
        return max(self.file_bytes, row_bytes) + self.aside_bytes

    def charge(self, row_bytes: int) -> int:
        file_bytes, aside_bytes = self.planned
        return max(self.total_bytes, self.kept(row_bytes), max(file_bytes, row_bytes) + aside_bytes)


class Quota:
    """Bytes used of a hard capacity (None: no limit but the disk's).  Thread-safe.

    ``pack_bytes`` are those of the packs' files: what is written was counted before.
    ``other_bytes`` is what else lies there.  ``row_bytes`` are set aside in the index for the rows
    that are there and those to come.  What the index is charged with is what its files take, or
    may take in the transaction that is under way, and at least those rows with what is kept aside
    for the next.

    ``closed`` is why nothing can be taken at all; "" while something can."""

    __slots__ = (
        "_index",
        "_lock",
        "_looked_bytes",
        "_rooms",
        "capacity_bytes",
        "closed",
        "disk_left_bytes",
        "other_bytes",
        "pack_bytes",
        "reserved_bytes",
        "row_bytes",
    )

    def __init__(
        self,
        capacity_bytes: int | None,
        disk_left_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        """``disk_left_bytes`` is how much of the disk may still be filled, None if it can't be told
        or there is none."""
        self.capacity_bytes = capacity_bytes
        self.disk_left_bytes = disk_left_bytes
        self.pack_bytes, self.row_bytes, self.reserved_bytes, self.other_bytes = 0, 0, 0, 0
        self._index = _IndexCharge()
        self._rooms: set[Room] = set()  # that are open
        self._looked_bytes = 0  # taken since the disk was asked
        self.closed = ""
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Reservations included."""
        used_bytes = self._plain_bytes() + self._index.charge(self.row_bytes)
        wanted_bytes = self._with_rooms()
        if self.capacity_bytes is not None:
            wanted_bytes = min(wanted_bytes, self.capacity_bytes)
        return max(used_bytes, wanted_bytes)

    def _plain_bytes(self) -> int:
        return self.pack_bytes + self.other_bytes + self.reserved_bytes

    def _with_rooms(self) -> int:
        """What would be used if commits into the rooms that are open took all they may of the
        index; once they take it there is less to take."""
        kept = self._index.kept(self.row_bytes)
        return self._plain_bytes() + kept + self._rooms_index_bytes()

    def _rooms_index_bytes(self) -> int:
        """What commits into the rooms that are open may take of the index beyond their rows."""
        if not self._rooms or not self._index.aside_bytes:
            return 0
        once = max(min(room.blocks, _COMMITTED_AT_ONCE) for room in self._rooms)  # one at a time
        rows = sum(room.index_bytes for room in self._rooms)
        return _COMMIT_BYTES + once * _COMMIT_ROW_BYTES + rows

    def set_index(
        self, total_bytes: int, file_bytes: int, aside_bytes: int, *, asked: bool = False
    ) -> None:
        """The files of the index take ``total_bytes`` or are about to, the database of it
        ``file_bytes``, and ``aside_bytes`` are to be kept beside it.  Where it is ``asked`` it
        raises NoRoom if that is more than before and than there is, and changes nothing."""
        with self._lock:
            before, used_bytes = self._index, self.used_bytes
            if not asked:
                self._index = _IndexCharge(total_bytes, file_bytes, aside_bytes)
                return
            planned = (file_bytes, aside_bytes)
            self._index = replace(before, total_bytes=total_bytes, planned=planned)
            more_bytes = self.used_bytes - used_bytes
            if more_bytes > 0 and self._passes(self.used_bytes):
                self._index = before
                raise _no_room(self, more_bytes)

    def take(
        self,
        size_bytes: int,
        room: Room | None = None,
        *,
        row_bytes: int = 0,
        for_room: bool = False,
        frees: bool = False,
    ) -> None:
        """Count ``size_bytes`` of a pack and ``row_bytes`` of the index as used, out of ``room`` if
        there is one; raises NoRoom and takes nothing.  Only ``for_room`` it may be some of what
        rooms that are open need of the index.  What ``frees`` more in a moment is given also where
        the capacity was lowered below what is used."""
        with self._lock:
            _check_open(self.closed)
            self._look_at_disk(size_bytes + row_bytes)
            total_bytes = size_bytes + row_bytes
            drawn_bytes = 0 if room is None else room.draw(total_bytes)
            before_bytes = self._bound_bytes(for_room=for_room)
            self._count(size_bytes, row_bytes, -drawn_bytes)
            bound_bytes = self._bound_bytes(for_room=for_room)
            if (
                total_bytes > drawn_bytes
                and bound_bytes > before_bytes
                and self._passes(bound_bytes)
                and not (frees and self._passes(before_bytes))
            ):
                self._count(-size_bytes, -row_bytes, drawn_bytes)
                if room is not None:
                    room.left_bytes += drawn_bytes
                raise _no_room(self, total_bytes - drawn_bytes)

    def _bound_bytes(self, *, for_room: bool) -> int:
        return self.used_bytes if for_room else max(self.used_bytes, self._with_rooms())

    def _passes(self, used_bytes: int) -> bool:
        return self.capacity_bytes is not None and used_bytes > self.capacity_bytes

    def _count(self, size_bytes: int, row_bytes: int, reserved_bytes: int) -> None:
        self.pack_bytes += size_bytes
        self.row_bytes += row_bytes
        self.reserved_bytes += reserved_bytes

    def give_back(self, size_bytes: int = 0, *, row_bytes: int = 0) -> None:
        with self._lock:
            self._count(-size_bytes, -row_bytes, 0)

    def untake(self, size_bytes: int, room: Room | None, *, row_bytes: int = 0) -> None:
        """Nothing was written of what was taken just now."""
        with self._lock:
            self._count(-size_bytes, -row_bytes, 0)
            if room is not None and not room.released and not room.at_least:
                room.left_bytes += size_bytes + row_bytes
                self.reserved_bytes += size_bytes + row_bytes

    def set_capacity(self, capacity_bytes: int | None) -> None:
        """From now on; what is used stays, however much it is."""
        with self._lock:
            self.capacity_bytes = capacity_bytes

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Room:
        """Set room aside, also in the index for that many ``blocks``; raises NoRoom if the quota,
        or what may be filled of the disk beyond the other reservations, cannot hold it.  Who has
        set aside what it needs ``at_least`` may take more, as far as there is more."""
        with self._lock:
            _check_open(self.closed)
            left_bytes = self.disk_left_bytes()
            if left_bytes is not None and size_bytes > left_bytes - self.reserved_bytes:
                raise _disk_full(size_bytes, left_bytes - self.reserved_bytes)
            room = Room(self, size_bytes, at_least=at_least, blocks=blocks)
            self._rooms.add(room)
            self.reserved_bytes += size_bytes
            if self._passes(self._bound_bytes(for_room=False)):
                self._rooms.remove(room)
                self.reserved_bytes -= size_bytes
                raise _no_room(self, size_bytes)
            return room

    def space(
        self,
        index_bytes: int = 0,
        disk_free_bytes: int | None = None,
        disk_reserve_bytes: int = 0,
        beside_bytes: int = 0,
    ) -> Space:
        """With what is known of the disk, and of the files of the index."""
        with self._lock:
            return Space(
                self.capacity_bytes,
                self.used_bytes,
                self.reserved_bytes,
                disk_free_bytes,
                beside_bytes,
                self.closed,
                disk_reserve_bytes,
                self.pack_bytes,
                index_bytes + self.other_bytes,
                _reservable_bytes(self),
            )

    def release(self, room: Room) -> None:
        with self._lock:
            self._rooms.discard(room)
            self.reserved_bytes -= room.left_bytes
            room.left_bytes, room.released = 0, True

    def _look_at_disk(self, more_bytes: int) -> None:
        """Now and then, since others fill it too.  Raises NoRoom."""
        self._looked_bytes += more_bytes
        if self._looked_bytes < _LOOK_EACH_BYTES:
            return
        left_bytes = self.disk_left_bytes()
        if left_bytes is not None and left_bytes < more_bytes:
            raise _disk_full(more_bytes, left_bytes)
        self._looked_bytes = 0


def index_room_bytes(blocks: int) -> int:
    """What a reservation for so many takes of the index, about."""
    once = min(blocks, _COMMITTED_AT_ONCE) * _COMMIT_ROW_BYTES
    return _COMMIT_BYTES + once + blocks * _ROW_TWICE_BYTES


class Room:
    """A Reservation of the contract: what is ``left_bytes`` of it counts as used."""

    __slots__ = ("_quota", "at_least", "blocks", "left_bytes", "released", "size_bytes")

    def __init__(
        self, quota: Quota, size_bytes: int, *, at_least: bool = False, blocks: int = 0
    ) -> None:
        self._quota, self.at_least, self.blocks = quota, at_least, blocks
        self.size_bytes = size_bytes
        self.left_bytes = size_bytes
        self.released = False

    @property
    def index_bytes(self) -> int:
        """What its rows take beyond those that are taken out of it."""
        return max(self.size_bytes // _INDEX_PART, self.blocks * _ROW_TWICE_BYTES)

    def draw(self, size_bytes: int) -> int:
        """How much of ``size_bytes`` comes out of it.  Called with the quota's lock held.  Raises
        NoRoom beyond what was set aside."""
        drawn_bytes = min(size_bytes, self.left_bytes) if self.at_least else size_bytes
        if drawn_bytes > self.left_bytes:
            raise NoRoom(f"more than the {self.size_bytes} bytes set aside")
        self.left_bytes -= drawn_bytes
        return drawn_bytes

    def release(self) -> None:
        self._quota.release(self)


def _no_room(quota: Quota, more_bytes: int) -> NoRoom:
    used, capacity = format_size(quota.used_bytes), format_size(quota.capacity_bytes or 0)
    return NoRoom(
        f"{used} of {capacity} are used: no room for {format_size(more_bytes)} more"
    ).hinted(
        "end what you do not need (`dhtstore rm`, `pin rm`, then `gc`), or give more with"
        " `dhtstore config capacity SIZE`"
    )


def _check_open(closed: str) -> None:
    if closed:
        raise NoRoom(f"what is stored can only be read: {closed}").hinted(
            "the disk must take writes again: see `dhtstore status`"
        )


def _reservable_bytes(quota: Quota) -> int | None:
    if quota.capacity_bytes is None:
        return None
    left_bytes = quota.capacity_bytes - quota.used_bytes
    if quota._index.aside_bytes:
        left_bytes -= 0 if quota._rooms else _COMMIT_BYTES
        left_bytes = left_bytes * _INDEX_PART // (_INDEX_PART + 1)
    return max(0, left_bytes)


def _disk_full(more_bytes: int, left_bytes: int) -> NoRoom:
    left = format_size(max(0, left_bytes))
    return NoRoom(
        f"the disk has no room for {format_size(more_bytes)} more: {left} of it may be filled,"
        " the rest is set aside or left free (disk_reserve)"
    ).hinted("free space on that disk")


def own_room(reservation: object) -> Room | None:
    """The Room behind a Reservation; raises LocalProtocolError for one of another store."""
    if reservation is not None and not isinstance(reservation, Room):
        raise LocalProtocolError("a reservation of another store")
    return reservation
