"""What receives stage, or find stored, is in the index file: it counts, and the file shrinks again.

Without that anybody who has a unit of small blocks stored makes the file grow beyond the capacity,
for ever, with receives that are given up.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks import index_database
from dhtstore.store.blocks.contract import Batch
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.writing import staged_rows
from tests.books import booked

COUNT = 3000
RECEIVES = 4
IN_MEMORY = 100
SLACK_BYTES = 384 * KIB  # free pages that stay, and those not full


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "IN_MEMORY_MAX_ROWS", IN_MEMORY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    store = DiskBlockStore(tmp_path / "blocks", 100 * MIB)
    yield store
    store.close()


def put(batch: Batch, numbers: range) -> None:
    for number in numbers:
        data = number.to_bytes(8, "big")
        batch.put(Cid.of(data), data)


def keep(store: DiskBlockStore, numbers: range) -> None:
    with store.batch(whole=True) as batch:
        put(batch, numbers)
        batch.commit()
    while store.settle():
        pass


def index_bytes(directory: Path) -> int:
    return (directory / "index.sqlite").stat().st_size


def test_what_receives_rely_on_is_counted_and_the_file_shrinks(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    """Nothing is delivered: all of it is stored already."""
    keep(store, range(COUNT))
    used = booked(store)
    before = index_bytes(tmp_path / "blocks")
    with ExitStack() as stack:
        for _ in range(RECEIVES):
            put(stack.enter_context(store.batch(whole=True)), range(COUNT))
        counted = booked(store) - used
        assert counted >= RECEIVES * (COUNT - IN_MEMORY) * ROW_BYTES
        with sqlite3.connect(tmp_path / "blocks" / "index.sqlite") as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that all is in the file
        db.close()
        shutil.copytree(tmp_path / "blocks", tmp_path / "crashed")
        grown = index_bytes(tmp_path / "crashed") - before
        assert counted + SLACK_BYTES // 6 >= grown > SLACK_BYTES
    again = DiskBlockStore(tmp_path / "crashed", None)
    assert (booked(again), again.count()) == (used, COUNT)
    again.close()
    assert index_bytes(tmp_path / "crashed") <= used + SLACK_BYTES


@pytest.mark.parametrize("commits", [False, True], ids=["given up", "committed"])
def test_the_file_shrinks_while_the_store_is_open(
    store: DiskBlockStore, tmp_path: Path, commits: bool
) -> None:
    with store.batch(whole=True) as before:
        put(before, range(100))
        before.commit()
    with ExitStack() as stack:
        batches = [stack.enter_context(store.batch(whole=True)) for _ in range(RECEIVES)]
        for batch in batches:
            put(batch, range(2 * COUNT))
        for batch in batches if commits else []:
            batch.commit()
    while store.settle():
        pass
    with sqlite3.connect(tmp_path / "blocks" / "index.sqlite") as db:  # all of it is in the file
        pages, size = (
            db.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "page_size")
        )
    db.close()
    rows = 2 * COUNT if commits else 100
    assert pages * size <= rows * ROW_BYTES + SLACK_BYTES
    packs = sum(path.stat().st_size for path in (tmp_path / "blocks").glob("*.pack"))
    assert booked(store) == packs + rows * ROW_BYTES
    assert index_bytes(tmp_path / "blocks") <= rows * ROW_BYTES + SLACK_BYTES


def test_a_reservation_bounds_what_a_receive_finds_stored(store: DiskBlockStore) -> None:
    keep(store, range(COUNT))
    used = booked(store)
    room = store.reserve(ROW_BYTES * 1000)
    with store.batch(room, whole=True) as batch, pytest.raises(NoRoom, match="set aside"):
        put(batch, range(COUNT))
    room.release()
    assert booked(store) == used


def test_the_quota_bounds_what_own_work_finds_stored(tmp_path: Path) -> None:
    keep(open_store := DiskBlockStore(tmp_path, None), range(COUNT))
    open_store.close()
    store = DiskBlockStore(tmp_path, None)
    used = booked(store)
    store.set_capacity(store.used_bytes + 64 * KIB)
    with store.batch(whole=True) as batch, pytest.raises(NoRoom, match="are used"):
        put(batch, range(COUNT))
    assert booked(store) == used
    with store.batch(whole=True) as batch:
        put(batch, range(90))
        batch.commit()
    store.close()


def test_rows_of_a_commit_count_twice_while_they_are_there_twice(store: DiskBlockStore) -> None:
    """From when they are staged on, so that nothing is refused at the end."""
    room = store.reserve(100 * MIB - store.used_bytes - 2 * MIB)
    with store.batch(room, whole=True) as batch:
        put(batch, range(COUNT))
        batch.commit()
        room.release()
        used = booked(store)
    while store.settle():
        pass
    assert used - booked(store) == ROW_BYTES * COUNT


def test_a_relied_row_that_is_written_anew_is_counted_once(store: DiskBlockStore) -> None:
    keep(store, range(COUNT))
    used = booked(store)
    with store.batch(whole=True) as batch:
        put(batch, range(COUNT))
        for number in range(0, COUNT, 2):
            data = number.to_bytes(8, "big")
            assert batch.put(Cid.of(data), data, anew=True)
    assert booked(store) == used


def test_deleted_rows_make_the_file_smaller(store: DiskBlockStore, tmp_path: Path) -> None:
    keep(store, range(4 * COUNT))
    before = index_bytes(tmp_path / "blocks")
    store.delete(list(store.cids()))
    assert booked(store) == 0
    assert index_bytes(tmp_path / "blocks") <= SLACK_BYTES < before


@pytest.mark.parametrize("version", [1, 2])
def test_the_index_of_an_earlier_version_shrinks_at_the_open(tmp_path: Path, version: int) -> None:
    store = DiskBlockStore(tmp_path, None)
    keep(store, range(COUNT))
    used = booked(store)
    store.close()
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA auto_vacuum=NONE")
        db.execute("VACUUM")
        db.execute("CREATE TABLE much AS SELECT zeroblob(2000000)")
        db.execute("DROP TABLE much")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    assert index_bytes(tmp_path) > 2_000_000
    again = DiskBlockStore(tmp_path, None)
    assert (booked(again), again.count(), len(set(again.cids()))) == (used, COUNT, COUNT)
    again.close()
    assert index_bytes(tmp_path) <= used + SLACK_BYTES


def test_the_file_is_cut_in_steps(store: DiskBlockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turns between them."""
    monkeypatch.setattr(index_database, "_AT_ONCE_PAGES", 8)
    keep(store, range(4 * COUNT))
    steps: list[str] = []
    writer = store._index.database._writer
    assert writer is not None
    writer.set_trace_callback(steps.append)
    store.delete(list(store.cids()))
    cut = [
        part.count("PRAGMA incremental_vacuum(1)") for part in "".join(steps).split("COMMIT")[1:]
    ]
    assert max(cut) == 8
    assert cut.count(8) > 5
