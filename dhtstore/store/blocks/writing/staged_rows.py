"""What one batch of the disk store put and what it relies on, until it is over."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from dhtstore.errors import DhtstoreError
from dhtstore.store.blocks.index import Changes, Index, Relying
from dhtstore.store.blocks.staged_table import Row

IN_MEMORY_MAX_ROWS: Final = 4096  # of a whole batch; a unit of 1 GiB of large leaves has 1,100


class StagedRows:
    """``new`` are the blocks written, ``relied`` those that are not to be deleted; of a *whole*
    batch only so many are in memory, the others in the index database.  ``anew`` are those of the
    blocks written, here or there, that take the place of a stored copy: as few as have rotted.

    The owner's lock is held where ``new`` changes; ``relied`` is added to by the index.
    """

    def __init__(self, index: Index, *, whole: bool) -> None:
        self._index, self._whole = index, whole
        self._table = index.staged
        self._batch: int | None = None  # its number in the table, once it has rows there
        self._spilling = threading.Lock()
        self.new: dict[bytes, Row] = {}
        self.relied: set[bytes] = set()
        self.anew: set[bytes] = set()
        self.count = 0  # of rows that the quota was charged for and the index does not have

    def relying(self) -> Relying:
        return Relying(self.relied, self._batch)

    def written(self, multihash: bytes, *, anew: bool) -> bool | None:
        """Whether this batch wrote the block, False if it relies on it; None if it is to be
        written."""
        if multihash in self.new:
            return True
        if self._batch is not None:
            known = self._table.written(self._batch, multihash)
            if known or (known is not None and not anew):
                return known
        if anew:
            return None
        return False if self._index.find_or_rely(multihash, self.relied) else None

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
            batch = self._table.new_batch() if self._batch is None else self._batch
            self._table.add(batch, new.values(), relied)
            self._batch = batch
            with state:
                for multihash in new:
                    del self.new[multihash]
                self.relied -= relied

    def index(self, new: dict[bytes, Row], anew: set[bytes], known: dict[int, int]) -> Changes:
        """Name in the index ``new`` and what was spilled before.  Raises NoRoom, HomeUnusable."""
        if self._batch is None:
            return self._index.add(new.values(), known, anew)
        self._table.add(self._batch, new.values(), ())
        return self._index.add_staged(self._batch, known, anew)

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
        self.new.clear()
        self.anew.clear()
        self.relied.clear()
        if self._batch is not None:
            with suppress(DhtstoreError):  # the next open does it; no other batch has the number
                self._table.clear(self._batch)

    @property
    def _full(self) -> bool:
        return len(self.new) + len(self.relied) >= IN_MEMORY_MAX_ROWS
