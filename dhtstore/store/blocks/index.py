"""The index of the packs: multihash -> where the block is.  Rebuildable from the packs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.accounts.index_files import IndexFiles
from dhtstore.store.blocks.index_database import ANY_ROWS, IndexDatabase
from dhtstore.store.blocks.staged_table import (
    Row,
    StagedTable,
    groups,
    held_by,
    marks,
    take_from_live,
)

# What a row costs on disk: measured 59 for 1,000,000 of SHA-256 that came in any order, 60 staged.
# Beyond that the files take, and are charged with (``accounts.index_files``): 256 KiB that stay
# free, the log (16 MiB, more only while a larger transaction lasts), and, where blocks were deleted
# here and there, pages that are not full: the rows that are left took 83 bytes each after 30 %, 108
# after 50 to 90 %.
ROW_BYTES: Final = 64
PAGE_ROWS: Final = 1000
_PAGE: Final = "SELECT multihash, codec, length FROM {} WHERE multihash > ? ORDER BY 1 LIMIT ?"


class Location(NamedTuple):
    """Where a block's data is."""

    pack: int
    offset: int
    length: int


class PackState(NamedTuple):
    """``known``: up to where the index says all there is to say; ``live``: blocks in the pack."""

    known: int
    live: int


class Changes(NamedTuple):
    """How many rows came to each pack, and how many left each."""

    added: dict[int, int]
    gone: dict[int, int]


class Relying(NamedTuple):
    """What an open batch relies on: ``relied``, and what ``staged`` says if that many."""

    relied: Container[bytes]
    batch: int | None


class Index:
    """Thread-safe; readers see what was committed."""

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        """``to_read`` on a disk that takes no writes.  Raises IndexUnusable; NoRoom or HomeUnusable
        when a rebuild would not help."""
        self.database = IndexDatabase(path, to_read=to_read)
        self.staged = StagedTable(self.database)

    @property
    def complete(self) -> bool:
        """Whether it has always been told of every block; else packs are to be scanned for what
        it does not know, and then it is."""
        return self.database.complete

    @property
    def rebuilt(self) -> bool:
        """Whether it was not complete when it was opened: what was deleted may be there again."""
        return self.database.rebuilt

    def set_complete(self) -> None:
        self.database.set_complete()

    def charge_to(self, files: IndexFiles) -> None:
        """From now on what it writes is bounded by what there is room for."""
        self.database.charge_to(files)

    def open_to_write(self) -> None:
        """Leave reading only; raises as the constructor while that is not possible."""
        self.database.open_to_write()

    def find(self, multihash: bytes) -> Location | None:
        query = f"SELECT pack, offset, length FROM {self.staged.blocks} WHERE multihash = ?"  # noqa: S608
        rows = self.database.rows(query, (multihash,))
        return Location(*rows[0]) if rows else None

    def find_or_rely(self, multihashes: Sequence[bytes], relied: set[bytes]) -> set[bytes]:
        """Those that are stored; they are added to ``relied`` before any delete can look."""
        found: set[bytes] = set()
        for keys in groups(multihashes):
            where = f"WHERE multihash IN ({marks(keys)})"
            query = f"SELECT multihash FROM {self.staged.blocks} {where}"  # noqa: S608
            with self.database.read_lock:
                stored = {key for (key,) in self.database.rows_locked(query, keys)}
                relied |= stored
            found |= stored
        return found

    def lengths(self, multihashes: Sequence[bytes]) -> dict[bytes, int]:
        """How long those of them are that are stored."""
        found: dict[bytes, int] = {}
        for keys in groups(multihashes):
            stored = self.staged.blocks
            where = f"WHERE multihash IN ({marks(keys)})"
            query = f"SELECT multihash, length FROM {stored} {where}"  # noqa: S608
            found.update(self.database.rows(query, keys))
        return found

    def cids(self, after: bytes = b"") -> Iterator[Cid]:
        """All above ``after``, a page at a time, so that writers are never held up."""
        while rows := self.page(after):
            yield from (Cid(bytes((1, codec)) + multihash) for multihash, codec, _ in rows)
            after = rows[-1][0]

    def page(self, after: bytes, rows: int = PAGE_ROWS) -> list[tuple[bytes, int, int]]:
        """Multihash, codec and length of the next blocks behind ``after``; none at the end."""
        return self.database.rows(_PAGE.format(self.staged.blocks), (after, rows))

    def packs(self) -> dict[int, PackState]:
        rows = self.database.rows("SELECT pack, known, live FROM packs", ())
        return {pack: PackState(known, live) for pack, known, live in rows}

    def add(
        self, rows: Iterable[Row], known: dict[int, int], anew: Collection[bytes] = ()
    ) -> Changes:
        """Insert the rows and set how far each pack is known, in one transaction.

        A block stored already keeps its place, except those of ``anew``.
        """
        added: dict[int, int] = {}
        by_pack: dict[int, list[Row]] = {pack: [] for pack in known}
        for row in rows:
            by_pack[row.pack].append(row)
        changed = sum(map(len, by_pack.values())) + len(known) + 2 * len(anew)
        with self.database.transaction(changed, grows=True) as db:
            gone = self._take_out(db, sorted(anew))
            for pack in known:
                added[pack] = _insert(db, by_pack[pack])
                _add_to_pack(db, pack, known[pack], added[pack])
        return Changes(added, gone)

    def add_staged(self, batch: int, known: dict[int, int], anew: Collection[bytes]) -> Changes:
        """The same with all rows that ``batch`` staged, however many: they are read from here on,
        and ``staged.settle`` brings them into the index.  What that finds stored is counted twice
        until then."""
        added = self.staged.count_by_pack(batch)
        changed = 1 + len(known) + 2 * len(anew)
        with self.database.transaction(changed, grows=True) as db:
            gone = self._take_out(db, sorted(anew))
            for pack in known:
                _add_to_pack(db, pack, known[pack], added.get(pack, 0))
            db.execute("INSERT INTO committed VALUES (?, ?)", (batch, b""))
        self.staged.committed(batch)
        return Changes(added, gone)

    def remove(
        self, multihashes: Iterable[bytes], relying: Callable[[], Iterable[Relying]]
    ) -> dict[int, int]:
        """Delete rows, except those that open batches rely on: ``relying`` is asked for them, and
        the rows are gone, while no batch can begin to rely.  Returns how many of each pack went.
        """
        asked = list(multihashes)
        with self.database.transaction(2 * len(asked), unread=True) as db:
            batches = list(relying())
            keep = {key for key in asked if any(key in batch.relied for batch in batches)}
            spilled = [batch.batch for batch in batches if batch.batch is not None]
            keep |= held_by(db, spilled, asked)
            return self._take_out(db, [key for key in asked if key not in keep])

    def move(self, copied: Iterable[tuple[Row, int]], pack: int, known: int) -> dict[int, int]:
        """Point blocks to their copies in ``pack``, which must be synced, and set how far that
        pack is known; in one transaction.

        Each row comes with the offset of its copy.  A block that no longer stands where its row
        says, since it was deleted or moved meanwhile, is passed over.  Returns how many left
        each pack.
        """
        left: dict[int, int] = {}
        moving = list(copied)
        with self.database.transaction(2 * len(moving) + 1) as db:
            for row, offset in moving:
                moved = db.execute(
                    "UPDATE blocks SET pack = ?, offset = ? "
                    "WHERE multihash = ? AND pack = ? AND offset = ?",
                    (pack, offset, row.multihash, row.pack, row.offset),
                ).rowcount
                left[row.pack] = left.get(row.pack, 0) + moved
            take_from_live(db, left)
            _add_to_pack(db, pack, known, sum(left.values()))
        return left

    def cut(self, pack: int, size: int) -> None:
        """Forget what lies beyond ``size`` of a pack whose file lost its end."""
        with self.database.transaction(ANY_ROWS) as db:
            db.execute("DELETE FROM blocks WHERE pack = ? AND offset + length > ?", (pack, size))
            live = db.execute("SELECT count(*) FROM blocks WHERE pack = ?", (pack,)).fetchone()[0]
            db.execute("INSERT OR REPLACE INTO packs VALUES (?, ?, ?)", (pack, size, live))

    def shortened(self, pack: int, end: int) -> None:
        """A pack has lost its end, which no row named."""
        with self.database.transaction(1) as db:
            db.execute("UPDATE packs SET known = min(known, ?) WHERE pack = ?", (end, pack))

    def drop(self, pack: int) -> None:
        """Forget a pack and all its rows."""
        with self.database.transaction(ANY_ROWS) as db:
            db.execute("DELETE FROM blocks WHERE pack = ?", (pack,))
            db.execute("DELETE FROM packs WHERE pack = ?", (pack,))

    def forget_pack(self, pack: int) -> None:
        """Forget a pack that holds no live block."""
        with self.database.transaction(1) as db:
            db.execute("DELETE FROM packs WHERE pack = ? AND live = 0", (pack,))

    def _take_out(self, db: sqlite3.Connection, multihashes: Sequence[bytes]) -> dict[int, int]:
        """Delete the rows of these; how many of each pack there were."""
        gone: dict[int, int] = {}
        for keys in groups(multihashes):
            where = f"WHERE multihash IN ({marks(keys)})"
            for (pack,) in db.execute(f"SELECT pack FROM {self.staged.blocks} {where}", keys):  # noqa: S608
                gone[pack] = gone.get(pack, 0) + 1
            db.execute(f"DELETE FROM blocks {where}", keys)  # noqa: S608
        self.staged.leave(db, multihashes)
        take_from_live(db, gone)
        return gone

    def cut_log(self) -> bool:
        """Give back the room of the log, where there is none; whether it took any."""
        return self.database.cut_log()

    def shrink(self) -> None:
        """Give the disk back what is free in the file, but for a little; what it refuses is tried
        again the next time."""
        with suppress(NoRoom, HomeUnusable):
            self.database.shrink()

    def close(self) -> None:
        self.database.close()


def _insert(db: sqlite3.Connection, rows: list[Row]) -> int:
    before = db.total_changes
    db.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    return db.total_changes - before


def _add_to_pack(db: sqlite3.Connection, pack: int, known: int, count: int) -> None:
    db.execute(
        "INSERT INTO packs VALUES (?, ?, ?) ON CONFLICT (pack) DO UPDATE "
        "SET known = excluded.known, live = live + excluded.live",
        (pack, known, count),
    )
