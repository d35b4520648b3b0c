"""Whole batches of more blocks than one transaction should have: all at once, and others go on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dhtstore.errors import HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.params import KIB
from dhtstore.store.blocks import staged_table
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.recovery import open_index_to_read
from dhtstore.store.blocks.staged_table import StagedTable
from dhtstore.store.blocks.writing import staged_rows
from tests.books import booked
from tests.unit.store.emptying import blocks_of

COUNT = 60
OTHERS = range(1000, 1003)
NOWHERE = Cid.of(b"nowhere")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "IN_MEMORY_MAX_ROWS", 10)
    monkeypatch.setattr(staged_table, "_AT_ONCE_ROWS", 7)


def opened(directory: Path) -> DiskBlockStore:
    return DiskBlockStore(directory, None, pack_size_bytes=20 * KIB)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    store = opened(tmp_path / "blocks")
    yield store
    store.close()


def block(number: int, size: int = 700) -> tuple[Cid, bytes]:
    data = random.Random(number).randbytes(size)
    return Cid.of(data), data


def put(store: DiskBlockStore, numbers: range, *, whole: bool = False) -> None:
    with store.batch(whole=whole) as batch:
        for number in numbers:
            batch.put(*block(number))
        batch.commit()
    settle(store)


def settle(store: DiskBlockStore) -> None:
    while store.settle():
        pass


def check(store: DiskBlockStore, numbers: range | list[int]) -> None:
    cids = [block(number)[0] for number in numbers]
    assert sorted(set(store.cids())) == sorted(cids)
    assert store.missing([*cids, NOWHERE]) == [NOWHERE]
    assert all(store.has(cid) for cid in cids)
    for number in numbers:
        assert store.get(block(number)[0]) == block(number)[1]


def check_books(store: DiskBlockStore, directory: Path, count: int) -> None:
    files = sum(path.stat().st_size for path in directory.glob("*.pack"))
    assert booked(store) == files + ROW_BYTES * count
    assert store.count() == count
    for pack, state in store._index.packs().items():
        assert state.live == len(blocks_of(store._index, pack))
    assert store._index.database.rows("SELECT count(*) FROM staged", ()) == [(0,)]


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> list[int]:
    """``act`` before each slice, with its number; the list has those that there were."""
    slices: list[int] = []
    real = StagedTable._merge_some

    def merge_some(self: StagedTable, batch: int) -> dict[int, int] | None:
        slices.append(len(slices))
        act(slices[-1])
        return real(self, batch)

    monkeypatch.setattr(StagedTable, "_merge_some", merge_some)
    return slices


def test_readers_and_other_batches_go_on_between_the_slices(
    store: DiskBlockStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, range(10))
    done: list[int] = []

    def act(number: int) -> None:
        check(store, [*range(COUNT), *done])
        if number < len(OTHERS):
            with store.batch() as batch:
                batch.put(*block(OTHERS[number]))
                batch.commit()
            done.append(OTHERS[number])

    slices = between(monkeypatch, act)
    put(store, range(COUNT), whole=True)
    assert len(slices) >= (COUNT - 10) // 7
    check(store, [*range(COUNT), *OTHERS])
    check_books(store, tmp_path / "blocks", COUNT + len(OTHERS))


def test_blocks_that_others_stored_meanwhile_are_counted_once(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    with store.batch(whole=True) as batch:
        for number in range(COUNT):
            batch.put(*block(number))
        put(store, range(0, COUNT, 2))
        batch.commit()
    check(store, range(COUNT))
    settle(store)
    check(store, range(COUNT))
    check_books(store, tmp_path / "blocks", COUNT)


def test_what_is_relied_on_outlasts_a_delete_between_the_slices(
    store: DiskBlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cids = [block(number)[0] for number in range(COUNT)]
    between(monkeypatch, lambda number: store.delete(cids))
    with store.batch(whole=True) as batch:
        for number in range(COUNT):
            batch.put(*block(number))
        batch.commit()
        settle(store)
        check(store, range(COUNT))
    store.delete(cids)
    assert (store.count(), booked(store)) == (0, 0)


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_commit_is_done_although_the_disk_fails_between_the_slices(
    store: DiskBlockStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Nothing is missing meanwhile, and it goes on later, or at the next open."""

    def act(number: int) -> None:
        if number == at:
            raise HomeUnusable("the disk fails")

    put(store, range(5))
    with monkeypatch.context() as patched:
        between(patched, act)
        put(store, range(COUNT), whole=True)
    check(store, range(COUNT))
    store.delete([block(number)[0] for number in range(0, COUNT, 3)])
    left = [number for number in range(COUNT) if number % 3]
    check(store, left)
    assert store.count() == len(left)
    shutil.copytree(tmp_path / "blocks", tmp_path / "crashed")
    again = opened(tmp_path / "crashed")
    check(again, left)
    check_books(again, tmp_path / "crashed", len(left))
    again.close()
    settle(store)
    check_books(store, tmp_path / "blocks", len(left))


def test_what_is_not_merged_yet_can_be_put_anew(
    store: DiskBlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(number: int) -> None:
        raise HomeUnusable("the disk fails")

    with monkeypatch.context() as patched:
        between(patched, act)
        put(store, range(COUNT), whole=True)
        with store.batch() as batch:
            for number in range(0, COUNT, 2):
                assert batch.put(*block(number), anew=True)
            batch.commit()
        assert store.count() == COUNT
        check(store, range(COUNT))
    put(store, OTHERS)
    check(store, [*range(COUNT), *OTHERS])
    assert store.count() == COUNT + len(OTHERS)


def test_what_is_not_merged_yet_can_be_read_on_a_disk_that_takes_no_writes(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    with store.batch(whole=True) as batch:
        for number in range(COUNT):
            batch.put(*block(number))
        batch.commit()
    assert store.settle()
    shutil.copytree(tmp_path / "blocks", tmp_path / "read-only")
    index, ends = open_index_to_read(tmp_path / "read-only")
    assert len(ends) == len(list((tmp_path / "blocks").glob("*.pack")))
    assert sorted(set(index.cids())) == sorted(block(number)[0] for number in range(COUNT))
    assert all(index.find(block(number)[0].multihash) for number in range(COUNT))
    index.close()
