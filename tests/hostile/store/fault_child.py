"""Runs each job of the store once for each of its system calls and each error that this can have,
which then fails; in a process that was started with ``system_calls.c`` in LD_PRELOAD
(``fault_jobs``).

After each failure the same process goes on: it stores and reads, its books agree with the files,
and no descriptor is left.  Prints what is wrong, one a line.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.params import KIB
from dhtstore.store.blocks import staged_table
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.writing import staged_rows
from tests.books import booked
from tests.sampling import files_bytes

ERRORS: Final = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EDQUOT, errno.EROFS)
PACK_BYTES: Final = 100 * KIB
CAPACITY_BYTES: Final = 1100 * KIB
KEPT: Final = 5
LIBC: Final = ctypes.CDLL(None)

TRIED = [0]  # failures
LASTS = [0]  # whether all calls fail from the first that does

Block = tuple[Cid, bytes]


class Trial:
    """A store with some blocks in several packs, and what must be in it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.bounded = directory, False
        self.made = 0
        self.must: dict[Cid, bytes] = {}
        self.store = self.opened()
        self.keep([self.block(size) for size in (100, 5000, 70_000, 70_000, 300)])

    def opened(self) -> DiskBlockStore:
        capacity_bytes = CAPACITY_BYTES if self.bounded else None
        return DiskBlockStore(self.directory, capacity_bytes, pack_size_bytes=PACK_BYTES)

    def block(self, size: int) -> Block:
        self.made += 1
        data = self.made.to_bytes(10, "big") * (size // 10)
        return Cid.of(data), data

    def keep(self, blocks: list[Block], *, whole: bool = False) -> None:
        with self.store.batch(whole=whole) as batch:
            for cid, data in blocks:
                batch.put(cid, data)
            batch.commit()
        self.must.update(blocks)
        while self.store.settle():
            pass

    def sizes(self) -> list[Block]:
        return [self.block(size) for size in (200, 70_000, 3000, 70_000, 10, 20)]

    def problems(self) -> list[str]:
        """Of the store as it is now; it must also take a block more."""
        store = self.store
        while store.settle():
            pass
        self.keep([self.block(70_000), self.block(50)])
        found = [f"{cid} is not there" for cid in self.must if not store.has(cid)]
        cids = list(store.cids())
        for cid in cids:
            store.get(cid)
        sizes = [path.stat().st_size for path in self.directory.glob("*.pack")]
        used = sum(sizes) + ROW_BYTES * len(cids)
        if booked(store) != used:
            found.append(f"{booked(store)} bytes used, {used} on disk")
        if (files := files_bytes(self.directory)) > store.used_bytes:
            found.append(f"{files} bytes of files, {store.used_bytes} used")
        if self.bounded and files > CAPACITY_BYTES:
            found.append(f"{files} bytes of files are more than the capacity")
        if store.count() != len(cids):
            found.append(f"{store.count()} counted, {len(cids)} listed")
        rows = store._index.database.rows("SELECT pack, count(*) FROM blocks GROUP BY pack", ())
        live = {pack: state.live for pack, state in store._index.packs().items() if state.live}
        if live != dict(rows):
            found.append(f"{live} are live by pack, rows are {dict(rows)}")
        self.trim()
        return found

    def trim(self) -> None:
        """Back to a few blocks, so that each attempt is as short as the first."""
        kept = dict(list(self.must.items())[:KEPT])
        self.store.delete([cid for cid in self.store.cids() if cid not in kept])
        self.must = kept


# --- the jobs --------------------------------------------------------------------------------


def put(trial: Trial) -> None:
    trial.keep(trial.sizes())


def put_twice(trial: Trial) -> None:
    blocks = trial.sizes()
    with trial.store.batch() as batch:
        for cid, data in blocks:
            batch.put(cid, data)
            batch.commit()
            trial.must[cid] = data


def discard(trial: Trial) -> None:
    with trial.store.batch() as batch:
        for cid, data in trial.sizes():
            batch.put(cid, data)


def put_whole(trial: Trial) -> None:
    trial.keep(trial.sizes(), whole=True)


def discard_whole(trial: Trial) -> None:
    with trial.store.batch(whole=True) as batch:
        for cid, data in [*trial.sizes(), *list(trial.must.items())[:5]]:
            batch.put(cid, data)


def delete(trial: Trial) -> None:
    cids = list(trial.must)[1:]
    for cid in cids:
        del trial.must[cid]
    trial.store.delete(cids)


def put_reserved(trial: Trial) -> None:
    room = trial.store.reserve(200_000)
    try:
        with trial.store.batch(room, whole=True) as batch:
            blocks = trial.sizes()
            for cid, data in blocks:
                batch.put(cid, data)
            batch.commit()
            trial.must.update(blocks)
    finally:
        room.release()


def put_anew(trial: Trial) -> None:
    """Each of what is there and is to stay, which it does whatever fails."""
    with trial.store.batch() as batch:
        for cid, data in trial.must.items():
            batch.put(cid, data, anew=True)
        batch.commit()


def put_when_full(trial: Trial) -> None:
    """The log has to begin anew with each commit, and what comes does not fit."""
    if not trial.bounded:
        trial.bounded = True
        trial.store.set_capacity(CAPACITY_BYTES)
    put_twice(trial)
    trial.keep([trial.block(800_000)])


def collect(trial: Trial) -> None:
    """Some goes, of each pack, and what stays moves."""
    gone = set(list(trial.must)[1::2])
    kept = Kept()
    for cid in trial.must.keys() - gone:
        kept.add(cid.multihash)
    for cid in gone:
        del trial.must[cid]
    after: bytes | None = b""
    while after is not None:
        after = trial.store.sweep(kept, after).after
    compaction = trial.store.compaction()
    try:
        while compaction.look() or compaction.step():
            pass
    finally:
        compaction.close()


def read(trial: Trial) -> None:
    for cid in trial.must:
        trial.store.read(cid)
        trial.store.sizes([cid])


def of_earlier_version(directory: Path) -> None:
    """An index whose file does not shrink."""
    db = sqlite3.connect(directory / "index.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=DELETE")
    db.execute("PRAGMA auto_vacuum=NONE")
    db.execute("VACUUM")
    assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    db.close()


def crash(directory: Path) -> None:
    """What one leaves: a tail that is not indexed, and a pack that no index knows."""
    with min(directory.glob("*.pack")).open("ab") as file:
        file.write(bytes(500))
    (directory / "00009999.pack").write_bytes(bytes(500))


JOBS: Final[dict[str, Callable[[Trial], None]]] = {
    "put": put,
    "put twice": put_twice,
    "discard": discard,
    "put whole": put_whole,
    "discard whole": discard_whole,
    "delete": delete,
    "put reserved": put_reserved,
    "put anew": put_anew,
    "put when full": put_when_full,
    "collect": collect,
    "read": read,
}


def run(job: Callable[[Trial], None], directory: Path) -> None:
    """Each call of the job, with each error, on one store that goes on all the time."""
    before = descriptors()
    trial = Trial(directory)
    for code in ERRORS:
        at = 0
        while True:
            at += 1
            calls = attempt(partial(job, trial), at, code)
            report(trial.problems(), at, code)
            if calls < at:
                break
    trial.store.close()
    trial.store = trial.opened()
    report(trial.problems(), 0, 0)
    trial.store.close()
    if descriptors() != before:
        print("descriptors are left:", sorted(descriptors() - before))


def run_reopen(directory: Path, left: Callable[[Path], None]) -> None:
    """Opening fails or does not; the next time all is well."""
    for code in ERRORS:
        at, calls = 0, 0
        trial = Trial(directory / str(code))
        while calls >= at:
            at += 1
            trial.store.close()
            left(trial.directory)
            before = descriptors()
            calls = attempt(partial(open_and_close, trial), at, code)
            if descriptors() != before:
                print(place(at, code), "descriptors are left:", sorted(descriptors() - before))
            trial.store = trial.opened()
            report(trial.problems(), at, code)
        trial.store.close()


def open_and_close(trial: Trial) -> None:
    trial.opened().close()


def attempt(job: Callable[[], None], at: int, code: int) -> int:
    """How many calls it made.  Only errors of ours may come out."""
    LIBC.fault_arm(at, code, LASTS[0])
    try:
        job()
    except DhtstoreError:
        pass
    except BaseException as error:
        LIBC.fault_disarm()
        print(place(at, code), f"raised {error!r}")
        raise
    calls: int = LIBC.fault_disarm()
    TRIED[0] += calls >= at
    return calls


def report(problems: list[str], at: int, code: int) -> None:
    for problem in problems:
        print(place(at, code), problem)


def place(at: int, code: int) -> str:
    LIBC.fault_where.restype = ctypes.c_char_p
    where = LIBC.fault_where()
    return f"{errno.errorcode.get(code, 'none')} at call {at} ({where.decode() if where else ''}):"


def descriptors() -> set[str]:
    return {f"{fd} {target(fd)}" for fd in os.listdir("/proc/self/fd") if target(fd)}


def target(fd: str) -> str:
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
    return "" if name.startswith("/proc") else name


def run_job(name: str, directory: Path) -> None:
    """One of ``NAMES``, in a process of its own."""
    vars(staged_rows)["IN_MEMORY_MAX_ROWS"] = 3
    vars(staged_table)["_AT_ONCE_ROWS"] = 4
    if name in REOPENED:
        run_reopen(directory, REOPENED[name])
    else:
        run(JOBS[name], directory)


REOPENED: Final = {"reopen": crash, "reopen earlier": of_earlier_version}
NAMES: Final = (*JOBS, *REOPENED)
