"""Which packs there are, which batch writes to which, and when a pack goes."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dhtstore.errors import DhtstoreError
from dhtstore.store.blocks.collecting.courtesy import Courtesy
from dhtstore.store.blocks.collecting.protections import Protections
from dhtstore.store.blocks.index import ROW_BYTES, Index, Relying
from dhtstore.store.blocks.packs import PackReaders, PackWriter, cut_file, pack_name
from dhtstore.store.blocks.quota import Quota
from dhtstore.store.disk import sync_directory


class OpenBatch(Protocol):
    """The blocks it counts on must not be deleted."""

    def relying(self) -> Relying: ...


@dataclass(slots=True)
class _Pack:
    """``end``: length of the file; ``live``: its indexed blocks; ``busy``: a batch holds it.

    ``cut_at`` of a pack that a batch was left with and that could not be cut there: nobody writes
    to it until that is done.  Nobody ever writes to one that is ``sealed``: who looked where a
    block is before its end was cut off must not read another there."""

    end: int
    live: int
    busy: bool = False
    cut_at: int | None = None
    sealed: bool = False


class PackPool:
    """Each open batch has packs of its own; a pack without a live block is unlinked.

    What the disk refuses (a cut, an unlink) is tried again with the next pack that is asked for;
    until then its bytes count as used.
    """

    def __init__(
        self,
        directory: Path,
        ends: dict[int, int],
        pack_size_bytes: int,
        quota: Quota,
        index: Index,
        readers: PackReaders,
    ) -> None:
        self.pack_size_bytes = pack_size_bytes
        self._directory = directory
        self._quota = quota
        self._index = index
        self._readers = readers
        # While the index deletes it asks who relies, and a pack that goes tells the index: one lock
        # for both would make each wait for the other.
        self._lock, self._relying = threading.Lock(), threading.Lock()
        self.protections, self.courtesy = Protections(), Courtesy()
        self._batches: dict[int, OpenBatch] = {}
        self._packs: dict[int, _Pack] = {}
        self.restart(ends)

    def restart(self, ends: dict[int, int]) -> None:
        """Count the packs that there are, of these lengths; while no batch is open."""
        states = self._index.packs()
        with self._lock:
            self._charge(-1)
            self._packs = {number: _Pack(end, states[number].live) for number, end in ends.items()}
            self._next_pack = max(ends, default=0) + 1
            self._charge(1)

    def _charge(self, sign: int) -> None:
        """The packs there are, or no more."""
        packs = self._packs.values()
        ends, rows = sum(pack.end for pack in packs), sum(pack.live for pack in packs)
        self._quota.give_back(-sign * ends, row_bytes=-sign * ROW_BYTES * rows)

    def read(self, number: int, offset: int, length: int) -> bytes:
        """What is there, empty where it cannot be read; shorter at the end of the pack."""
        try:
            return self._readers.read(number, offset, length)
        except OSError:
            return b""

    def live_blocks(self) -> int:
        with self._lock:
            return sum(pack.live for pack in self._packs.values())

    def opened(self, batch: OpenBatch) -> None:
        with self._relying:
            self._batches[id(batch)] = batch

    def closed(self, batch: OpenBatch) -> None:
        with self._relying:
            self._batches.pop(id(batch), None)

    def relying(self) -> list[Relying]:
        with self._relying:
            relying = [batch.relying() for batch in self._batches.values()]
        return [*relying, Relying(self.protections, None)]

    def checkout(self, size: int) -> PackWriter:
        """A pack with room for ``size`` bytes, the caller's alone until ``checkin``."""
        with self._lock:
            self._mend()
            for number, pack in self._packs.items():
                free = not (pack.busy or pack.sealed) and pack.cut_at is None
                if free and pack.end + size <= self.pack_size_bytes:
                    writer = PackWriter(self._directory, number, pack.end)
                    pack.busy = True
                    return writer
            number, self._next_pack = self._next_pack, self._next_pack + 1  # never tried twice
            writer = PackWriter(self._directory, number, 0, create=True)
            self._packs[number] = _Pack(0, 0, busy=True)
            return writer

    def checkin(self, writer: PackWriter, known: int) -> None:
        """Hand a pack back, of which ``known`` bytes are to stay."""
        writer.close()
        with self._lock:
            pack = self._packs[writer.number]
            pack.end, pack.busy = writer.end, False
            if writer.end > known:
                pack.cut_at = known
            self._settle(writer.number)

    def ends(self) -> dict[int, int]:
        """The lengths of packs that nobody writes to."""
        with self._lock:
            packs = self._packs.items()
            return {each: pack.end for each, pack in packs if not pack.busy and pack.cut_at is None}

    def take_apart(self, number: int) -> bool:
        """Keep batches from writing to a pack until ``put_back``; False if one does, or it went."""
        with self._lock:
            pack = self._packs.get(number)
            if pack is None or pack.busy or pack.cut_at is not None:
                return False
            pack.busy = True
            return True

    def shorten(self, number: int, end: int) -> int:
        """Cut the end off a pack that was taken apart, which no row names any more; how many bytes
        that were, none where the disk refuses."""
        with self._lock:
            pack = self._packs[number]
            pack.sealed, cut_bytes = True, pack.end - end
            try:
                cut_file(self._directory / pack_name(number), end)
            except OSError:
                return 0  # it goes with the pack
            pack.end = end
            self._quota.give_back(cut_bytes)
            return cut_bytes

    def put_back(self, number: int) -> int:
        """How many bytes its file had, if it goes now."""
        with self._lock:
            pack = self._packs[number]
            pack.busy = False
            self._settle(number)
            if number not in self._packs:
                return pack.end
            if pack.sealed:
                with suppress(DhtstoreError):  # else the next open finds out, and counts its rows
                    self._index.shortened(number, pack.end)
            return 0

    def added(self, counts: dict[int, int]) -> None:
        """So many more blocks of each pack are live."""
        with self._lock:
            for number, count in counts.items():
                self._packs[number].live += count

    def removed(self, counts: dict[int, int]) -> None:
        """So many fewer."""
        with self._lock:
            for number, count in counts.items():
                self._packs[number].live -= count
                self._settle(number)

    def _mend(self) -> None:
        """Try again what could not be done; one that fails is enough of a disk that does."""
        for number in [number for number, pack in self._packs.items() if pack.cut_at is not None]:
            if not self._packs[number].busy and not self._settle(number):
                return

    def _settle(self, number: int) -> bool:
        """Cut or remove a pack that nobody writes to; called with the lock held.  False if the disk
        refuses."""
        pack = self._packs[number]
        if pack.busy:
            return True
        try:
            if not pack.live:
                self._unlink(number)
            elif pack.cut_at is not None:
                cut_file(self._directory / pack_name(number), pack.cut_at)
                self._quota.give_back(pack.end - pack.cut_at)
                pack.end, pack.cut_at = pack.cut_at, None
        except OSError:
            pack.cut_at = pack.end if pack.cut_at is None else pack.cut_at
            return False
        return True

    def _unlink(self, number: int) -> None:
        (self._directory / pack_name(number)).unlink(missing_ok=True)
        self._readers.forget(number)
        self._quota.give_back(self._packs.pop(number).end)
        # A file that comes back after a power cut, or a row that stays, is removed at the open.
        with suppress(OSError, DhtstoreError):
            sync_directory(self._directory)
            self._index.forget_pack(number)
