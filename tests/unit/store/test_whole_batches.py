"""Whole batches of the disk store: bounded memory, nothing before the commit, all of it after."""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.writing import staged_rows
from dhtstore.store.blocks.writing.disk_batch import DiskBatch
from tests.books import booked
from tests.unit.store.emptying import blocks_of

IN_MEMORY = 10


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "IN_MEMORY_MAX_ROWS", IN_MEMORY)


@pytest.fixture
def store(tmp_path: Path) -> DiskBlockStore:
    return DiskBlockStore(tmp_path, None, pack_size_bytes=20 * KIB)


def block(number: int, size: int = 700) -> tuple[Cid, bytes]:
    data = random.Random(number).randbytes(size)
    return Cid.of(data), data


def in_memory(batch: DiskBatch) -> int:
    return len(batch._rows.new) + len(batch._rows.relied)


def used_on_disk(directory: Path, rows: int) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.pack")) + rows * ROW_BYTES


def staged_count(directory: Path) -> int:
    with sqlite3.connect(directory / "index.sqlite") as db:
        found: int = db.execute("SELECT count(*) FROM staged").fetchone()[0]
    db.close()
    return found


def test_rows_leave_memory_and_are_still_told_apart(store: DiskBlockStore, tmp_path: Path) -> None:
    """Of 300 blocks 100 were stored before; each is put three times."""
    with store.batch() as before:
        for number in range(100):
            before.put(*block(number))
        before.commit()
    with store.batch(whole=True) as batch:
        for number in [*range(300), *range(299, -1, -1), *range(300)]:
            assert batch.put(*block(number)) == (number >= 100)
            assert in_memory(batch) <= IN_MEMORY
        assert store.count() == 100
        assert staged_count(tmp_path) > 250
        batch.commit()
        assert store.count() == 300
    while store.settle():
        pass
    assert staged_count(tmp_path) == 0
    assert booked(store) == used_on_disk(tmp_path, 300)
    for number in range(300):
        assert store.get(block(number)[0]) == block(number)[1]
    store.close()


def test_a_discarded_whole_batch_leaves_nothing(store: DiskBlockStore, tmp_path: Path) -> None:
    for _ in range(2):
        with store.batch(whole=True) as batch:
            for number in range(200):
                batch.put(*block(number))
        assert booked(store) == 0
        assert list(tmp_path.glob("*.pack")) == []
        assert staged_count(tmp_path) == 0
    store.close()


def test_what_spilled_is_not_deleted_before_the_batch_is_left(store: DiskBlockStore) -> None:
    blocks = [block(number) for number in range(100)]
    cids = [cid for cid, _ in blocks]
    with store.batch() as before:
        for cid, data in blocks[:50]:
            before.put(cid, data)
        before.commit()
    with store.batch(whole=True) as batch:
        for cid, data in blocks:
            batch.put(cid, data)
        store.delete(cids)
        assert store.count() == 50
        batch.commit()
        store.delete(cids)
        assert store.missing(cids) == []
    store.delete(cids)
    while store.settle():
        pass
    assert store.count() == booked(store) == 0
    store.close()


def test_blocks_that_others_stored_meanwhile_are_charged_once(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    with store.batch(whole=True) as one, store.batch(whole=True) as two:
        for number in range(60):
            one.put(*block(number))
            two.put(*block(number + 30))
        two.commit()
        one.commit()
    while store.settle():
        pass
    assert store.count() == 90
    assert booked(store) == used_on_disk(tmp_path, 90)
    index = store._index
    for pack, state in index.packs().items():
        assert state.live == len(blocks_of(index, pack))
    store.close()


def test_threads_share_a_whole_batch(store: DiskBlockStore, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run(numbers: range) -> None:
        try:
            for number in numbers:
                batch.put(*block(number))
        except BaseException as error:
            failures.append(error)

    with store.batch(whole=True) as batch:
        ranges = (range(200), range(299, 99, -1), range(50, 250))
        threads = [threading.Thread(target=run, args=(numbers,)) for numbers in ranges]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        batch.commit()
    assert failures == []
    assert store.count() == 300
    for number in range(300):
        assert store.get(block(number)[0]) == block(number)[1]
    store.close()


def test_what_a_crash_left_staged_is_gone_and_its_space_is_back(tmp_path: Path) -> None:
    """As it stands after a kill between staging and commit: a copy of the directory."""
    store = DiskBlockStore(tmp_path / "a", None, pack_size_bytes=20 * KIB)
    with store.batch() as before:
        before.put(*block(1000))
        before.commit()
    used = booked(store)
    with store.batch(whole=True) as batch:
        for number in range(200):
            batch.put(*block(number))
        crashed = tmp_path / "b"
        crashed.mkdir()
        for path in (tmp_path / "a").iterdir():
            (crashed / path.name).write_bytes(path.read_bytes())
    store.close()
    assert used_on_disk(crashed, 1) > used
    again = DiskBlockStore(crashed, None, pack_size_bytes=20 * KIB)
    assert list(again.cids()) == [block(1000)[0]]
    assert booked(again) == used == used_on_disk(crashed, 1)
    assert staged_count(crashed) == 0
    again.close()


def test_a_reservation_bounds_what_spills(tmp_path: Path) -> None:
    store = DiskBlockStore(tmp_path, MIB, pack_size_bytes=20 * KIB)
    room = store.reserve(50 * KIB)
    with store.batch(room, whole=True) as batch:
        for number in range(50 * KIB // (700 + 50 + ROW_BYTES)):
            batch.put(*block(number))
        with pytest.raises(NoRoom, match="set aside"):
            batch.put(*block(200))
    assert 0 < room.left_bytes < 1000
    room.release()
    assert booked(store) == 0
    store.close()


def test_packs_are_synced_and_closed_as_they_are_left(store: DiskBlockStore) -> None:
    with store.batch(whole=True) as batch:
        for number in range(30):
            batch.put(*block(number, 10 * KIB))
        writers = batch._packs._writers
        assert len(writers) == 30
        assert sum(writer._fd >= 0 for writer in writers) <= 2
        batch.commit()
    assert store.count() == 30
    store.close()
