"""How much room there is: one counter, checked before a byte is written."""

from __future__ import annotations

import threading

from dhtstore.config import format_size
from dhtstore.errors import LocalProtocolError, NoRoom
from dhtstore.store.space import Space


class Quota:
    """Bytes used of a hard capacity (None: no limit but the disk's).  Thread-safe.

    ``closed`` is why nothing can be taken at all; "" while something can."""

    __slots__ = ("_lock", "capacity_bytes", "closed", "reserved_bytes", "used_bytes")

    def __init__(self, capacity_bytes: int | None, used_bytes: int = 0) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = used_bytes  # reservations included
        self.reserved_bytes = 0
        self.closed = ""
        self._lock = threading.Lock()

    def take(self, size_bytes: int, room: Room | None = None) -> None:
        """Count ``size_bytes`` as used, out of ``room`` if there is one; raises NoRoom and takes
        nothing."""
        with self._lock:
            self._check_open()
            if room is None:
                self._check(size_bytes)
                self.used_bytes += size_bytes
            else:
                drawn_bytes = min(size_bytes, room.left_bytes) if room.at_least else size_bytes
                self._check(size_bytes - drawn_bytes)
                room.draw(drawn_bytes)
                self.reserved_bytes -= drawn_bytes
                self.used_bytes += size_bytes - drawn_bytes

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self.used_bytes -= size_bytes

    def untake(self, size_bytes: int, room: Room | None) -> None:
        """Nothing was written of what was taken just now."""
        with self._lock:
            if room is None or room.released or room.at_least:
                self.used_bytes -= size_bytes
            else:
                room.left_bytes += size_bytes
                self.reserved_bytes += size_bytes

    def reserve(
        self, size_bytes: int, disk_free_bytes: int | None = None, *, at_least: bool = False
    ) -> Room:
        """Set room aside; raises NoRoom if the quota, or what is free on the disk beyond the
        other reservations, cannot hold it.  Who has set aside what it needs ``at_least`` may take
        more, as far as there is more."""
        with self._lock:
            self._check_open()
            self._check(size_bytes)
            if disk_free_bytes is not None and size_bytes > disk_free_bytes - self.reserved_bytes:
                raise NoRoom(f"the disk has no room for {format_size(size_bytes)} more")
            self.used_bytes += size_bytes
            self.reserved_bytes += size_bytes
            return Room(self, size_bytes, at_least=at_least)

    def space(self, disk_free_bytes: int | None = None, beside_bytes: int = 0) -> Space:
        """With what is known of the disk."""
        with self._lock:
            return Space(
                self.capacity_bytes,
                self.used_bytes,
                self.reserved_bytes,
                disk_free_bytes,
                beside_bytes,
                self.closed,
            )

    def release(self, room: Room) -> None:
        with self._lock:
            self.used_bytes -= room.left_bytes
            self.reserved_bytes -= room.left_bytes
            room.left_bytes, room.released = 0, True

    def _check_open(self) -> None:
        if self.closed:
            raise NoRoom(f"what is stored can only be read: {self.closed}").hinted(
                "the disk must take writes again: see `dhtstore status`"
            )

    def _check(self, more_bytes: int) -> None:
        if self.capacity_bytes is not None and self.used_bytes + more_bytes > self.capacity_bytes:
            raise NoRoom(
                f"{format_size(self.used_bytes)} of {format_size(self.capacity_bytes)} are used:"
                f" no room for {format_size(more_bytes)} more"
            )


class Room:
    """A Reservation of the contract: what is ``left_bytes`` of it counts as used."""

    __slots__ = ("_quota", "at_least", "left_bytes", "released", "size_bytes")

    def __init__(self, quota: Quota, size_bytes: int, *, at_least: bool = False) -> None:
        self._quota, self.at_least = quota, at_least
        self.size_bytes = size_bytes
        self.left_bytes = size_bytes
        self.released = False

    def draw(self, size_bytes: int) -> None:
        """Called with the quota's lock held.  Raises NoRoom beyond what was set aside."""
        if size_bytes > self.left_bytes:
            raise NoRoom(f"more than the {self.size_bytes} bytes set aside")
        self.left_bytes -= size_bytes

    def release(self) -> None:
        self._quota.release(self)


def own_room(reservation: object) -> Room | None:
    """The Room behind a Reservation; raises LocalProtocolError for one of another store."""
    if reservation is not None and not isinstance(reservation, Room):
        raise LocalProtocolError("a reservation of another store")
    return reservation
