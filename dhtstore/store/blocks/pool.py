"""Which packs there are, which batch writes to which, and when a pack goes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dhtstore.store.blocks.index import ROW_BYTES, Index
from dhtstore.store.blocks.packs import PackReaders, PackWriter, pack_name
from dhtstore.store.blocks.quota import Quota
from dhtstore.store.disk import sync_directory, write_error


class Relying(Protocol):
    """An open batch: the blocks it counts on must not be deleted before it commits."""

    relied: set[bytes]


@dataclass(slots=True)
class _Pack:
    """``end``: length of the file; ``live``: its indexed blocks; ``busy``: a batch holds it."""

    end: int
    live: int
    busy: bool = False


class PackPool:
    """Each open batch has packs of its own; a pack without a live block is unlinked."""

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
        self._batches: dict[int, Relying] = {}
        self._packs: dict[int, _Pack] = {}
        self.restart(ends)

    def restart(self, ends: dict[int, int]) -> None:
        """Count the packs that there are, of these lengths; while no batch is open."""
        states = self._index.packs()
        with self._lock:
            self._quota.give_back(self._used_bytes())
            self._packs = {number: _Pack(end, states[number].live) for number, end in ends.items()}
            self._next_pack = max(ends, default=0) + 1
            self._quota.give_back(-self._used_bytes())

    def _used_bytes(self) -> int:
        return sum(pack.end + ROW_BYTES * pack.live for pack in self._packs.values())

    def live_blocks(self) -> int:
        with self._lock:
            return sum(pack.live for pack in self._packs.values())

    def opened(self, batch: Relying) -> None:
        with self._relying:
            self._batches[id(batch)] = batch

    def closed(self, batch: Relying) -> None:
        with self._relying:
            self._batches.pop(id(batch), None)

    def relied(self) -> list[set[bytes]]:
        with self._relying:
            return [batch.relied for batch in self._batches.values()]

    def checkout(self, size: int) -> PackWriter:
        """A pack with room for ``size`` bytes, the caller's alone until ``checkin``."""
        with self._lock:
            for number, pack in self._packs.items():
                if not pack.busy and pack.end + size <= self.pack_size_bytes:
                    writer = PackWriter(self._directory, number, pack.end)
                    pack.busy = True
                    return writer
            writer = PackWriter(self._directory, self._next_pack, 0, create=True)
            self._packs[writer.number] = _Pack(0, 0, busy=True)
            self._next_pack += 1
            return writer

    def checkin(self, writer: PackWriter) -> None:
        writer.close()
        with self._lock:
            pack = self._packs[writer.number]
            pack.end, pack.busy = writer.end, False
            self._unlink_if_dead(writer.number)

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
                self._unlink_if_dead(number)

    def _unlink_if_dead(self, number: int) -> None:
        """The file goes first: without its row it would be taken for new at the next open."""
        pack = self._packs[number]
        if pack.live or pack.busy:
            return
        del self._packs[number]
        self._readers.forget(number)
        try:
            (self._directory / pack_name(number)).unlink()
            sync_directory(self._directory)
        except OSError as error:
            raise write_error(error, "the removal of a pack") from error
        self._index.forget_pack(number)
        self._quota.give_back(pack.end)
