"""What one batch of the disk store put and what it relies on, until it is over."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from dhtstore.errors import DhtstoreError, NoRoom
from dhtstore.store.blocks.index import ROW_BYTES, Changes, Index, Relying
from dhtstore.store.blocks.quota import Quota, Room
from dhtstore.store.blocks.staged_table import Row

IN_MEMORY_MAX_ROWS: Final = 4096  # of a whole batch; a unit of 1 GiB of large leaves has 1,100


class StagedRows:
    """``new`` are the blocks written, ``relied`` those that are not to be deleted; of a *whole*
    batch only so many are in memory, the others in the index database.  ``anew`` are those of the
    blocks written, here or there, that take the place of a stored copy: as few as have rotted.

    The owner's lock is held where ``new`` changes; ``relied`` is added to by the index.

    The quota is charged for ``count`` of the blocks in memory that were written, and for each row
    in the index database: those say also what is relied on, and stay for a while beside the rows
    that a commit makes of them, for which room is taken with them, and not of the reservation.
    """

    def __init__(self, index: Index, quota: Quota, room: Room | None, *, whole: bool) -> None:
        self._index, self._quota, self._room, self._whole = index, quota, room, whole
        self._table = index.staged
        self._batch: int | None = None  # its number in the table, once it has rows there
        self._spilling = threading.Lock()
        self.new: dict[bytes, Row] = {}
        self.relied: set[bytes] = set()
        self.anew: set[bytes] = set()
        self.count = 0
        self._twice = 0  # rows written to the table, which will stand in the index beside it

    def relying(self) -> Relying:
        return Relying(self.relied, self._batch)

    def written(self, multihashes: Sequence[bytes], *, anew: bool) -> list[bool | None]:
        """Whether this batch wrote each block, False if it relies on it; None if it is to be
        written.  One query of the index for all."""
        known = [self._known(multihash, anew=anew) for multihash in multihashes]
        if anew:
            return known
        asked = [key for key, was in zip(multihashes, known, strict=True) if was is None]
        stored = self._index.find_or_rely(asked, self.relied)
        return [
            False if was is None and key in stored else was
            for key, was in zip(multihashes, known, strict=True)
        ]

    def _known(self, multihash: bytes, *, anew: bool) -> bool | None:
        """The same, without the index."""
        if multihash in self.new:
            return True
        if self._batch is None:
            return None
        known = self._table.written(self._batch, multihash)
        return None if anew and not known else known

    def find(self, multihash: bytes) -> Row | None:
        """Where a block lies that this batch wrote."""
        row = self.new.get(multihash)
        if row is None and self._batch is not None:
            return self._table.find(self._batch, multihash)
        return row

    def add(self, row: Row, *, anew: bool) -> None:
        self.new[row.multihash] = row
        if anew:
            self.anew.add(row.multihash)
        self.count += 1

    def spill(self, state: threading.Condition) -> None:
        """Move what is too much for memory, of a whole batch; ``state`` is the owner's lock, not
        held.  Raises NoRoom, HomeUnusable; then everything is still where it was."""
        if not self._full:
            return
        with self._spilling:
            if not self._full:
                return
            with state:
                new, relied = dict(self.new), set(self.relied)
            self._move(new, relied - new.keys())
            with state:
                for multihash in new:
                    del self.new[multihash]
                self.count -= len(new)
                self.relied -= relied

    def index(
        self,
        new: dict[bytes, Row],
        anew: set[bytes],
        known: dict[int, int],
        state: threading.Condition,
    ) -> Changes:
        """Name in the index ``new`` and what was spilled before; ``state`` as above.  What was
        charged for them stands for the rows of the index from then on.  Raises NoRoom,
        HomeUnusable."""
        if self._batch is None:
            changes = self._added(new, anew, known)
            self._charge(changes, len(new))
            with state:
                self.count -= len(new)
            return changes
        self._move(new, set())
        with state:
            self.count -= len(new)
        changes = self._index.add_staged(self._batch, known, anew)
        self._charge(changes, self._twice)
        self._twice = 0
        return changes

    def _added(self, new: dict[bytes, Row], anew: set[bytes], known: dict[int, int]) -> Changes:
        """Who has set aside more than was needed gives it back where the index needs some of it."""
        try:
            return self._index.add(new.values(), known, anew)
        except NoRoom:
            if self._room is None or not self._room.at_least or not self._room.left_bytes:
                raise
        self._quota.release(self._room)
        return self._index.add(new.values(), known, anew)

    def _charge(self, changes: Changes, charged: int) -> None:
        """So many rows were charged; those that came and went are."""
        rows = sum(changes.added.values()) - sum(changes.gone.values())
        self._quota.give_back(row_bytes=ROW_BYTES * (charged - rows))

    def _move(self, new: dict[bytes, Row], relied: set[bytes]) -> None:
        """Write rows to the table, which takes room; raises NoRoom, HomeUnusable."""
        taken = ROW_BYTES * len(relied)
        twice = ROW_BYTES * len(new)
        self._quota.take(0, row_bytes=twice, for_room=self._room is not None)
        try:
            self._quota.take(0, self._room, row_bytes=taken)
        except NoRoom:
            self._quota.give_back(row_bytes=twice)
            raise
        batch = self._table.new_batch() if self._batch is None else self._batch
        try:
            more = self._table.add(batch, new.values(), relied)
        except DhtstoreError:
            self._quota.untake(0, self._room, row_bytes=taken)
            self._quota.give_back(row_bytes=twice)
            raise
        self._twice += len(new)
        there = len(new) + len(relied) - more
        self._quota.untake(0, self._room, row_bytes=ROW_BYTES * there)
        self._batch = batch

    def committed(self, new: dict[bytes, Row], anew: set[bytes], relied: set[bytes]) -> None:
        """These are in the index now; called with the owner's lock held."""
        for multihash in new:
            del self.new[multihash]
        self.anew -= anew
        if self._whole:
            self.relied |= new.keys()
        else:
            self.relied -= relied

    def clear(self) -> None:
        """What stays in the table stays charged; ``settle`` of the store, or the next open, clears
        it."""
        self._quota.give_back(row_bytes=ROW_BYTES * (self.count + self._twice))
        self._twice = 0
        self.new.clear()
        self.anew.clear()
        self.relied.clear()
        if self._batch is not None:
            with suppress(DhtstoreError):  # no other batch has the number
                for cleared in self._table.clear(self._batch):
                    self._quota.give_back(row_bytes=ROW_BYTES * cleared)

    @property
    def _full(self) -> bool:
        return len(self.new) + len(self.relied) >= IN_MEMORY_MAX_ROWS
