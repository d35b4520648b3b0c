"""The packs that one batch holds, and how far each was known before and is now."""

from __future__ import annotations

from dhtstore.store.blocks.packs import PackWriter
from dhtstore.store.blocks.pool import PackPool


class HeldPacks:
    """The last one takes the next record.  The owner's lock is held in all but ``sync``."""

    def __init__(self, pool: PackPool) -> None:
        self._pool = pool
        self._writers: list[PackWriter] = []
        self._syncing: set[int] = set()  # left, and being synced or synced
        self._known: dict[int, int] = {}  # pack -> where its committed part ends

    def writer_for(self, size: int) -> PackWriter:
        """Raises NoRoom, HomeUnusable."""
        if not self._writers or self._writers[-1].end + size > self._pool.pack_size_bytes:
            writer = self._pool.checkout(size)
            self._writers.append(writer)
            self._known[writer.number] = writer.end
        return self._writers[-1]

    def left(self) -> list[PackWriter]:
        """Those that no record will come to and that are written: the caller syncs and closes
        them."""
        left = [
            writer
            for writer in self._writers[:-1]
            if not writer.unwritten and writer.number not in self._syncing
        ]
        self._syncing.update(writer.number for writer in left)
        return left

    def ends(self) -> dict[int, int]:
        return {writer.number: writer.end for writer in self._writers}

    def grown(self, ends: dict[int, int]) -> dict[int, int]:
        """Those of the packs that have more than is known."""
        return {number: end for number, end in ends.items() if end > self._known[number]}

    def sync(self, grown: dict[int, int]) -> None:
        """Those that were closed when they were left are.  Raises NoRoom, HomeUnusable."""
        for writer in list(self._writers):
            if writer.number in grown:
                writer.sync()

    def committed(self, ends: dict[int, int]) -> None:
        """So much is known now; all but the pack in use are handed back."""
        self._known.update(ends)
        for writer in self._writers[:-1]:
            if writer.end == self._known[writer.number]:
                self._writers.remove(writer)
                self._hand_back(writer)

    def give_back(self) -> None:
        """All of them, cut where they were known."""
        while self._writers:
            self._hand_back(self._writers.pop())

    def _hand_back(self, writer: PackWriter) -> None:
        self._syncing.discard(writer.number)
        self._pool.checkin(writer, self._known.pop(writer.number))
