"""Blocks change their pack: what is found, what is counted, and who was quicker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from dhtstore.errors import BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.compacting import row_pages
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import Index, Location, PackState, Relying
from dhtstore.store.blocks.staged_table import Row
from tests.unit.store.emptying import blocks_of, empty_pack

LENGTH = 10


def row(number: int, pack: int) -> Row:
    return Row(b"%04d" % number, pack, number * LENGTH, LENGTH, 0x55)


def nobody() -> list[Relying]:
    """No open batch relies on a block."""
    return []


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / "index.sqlite")
    yield opened
    opened.close()


def live(index: Index) -> dict[int, int]:
    """How many blocks each pack is said to hold, having seen that it does."""
    said = {pack: state.live for pack, state in index.packs().items()}
    assert said == {pack: len(blocks_of(index, pack)) for pack in said}
    return said


def test_the_blocks_of_a_pack(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_pages, "_LOOKED_AT_ROWS", 3)
    rows = [row(number, 1 + number % 2) for number in range(20)]
    index.add(rows, {1: 500, 2: 500})
    assert blocks_of(index, 1) == rows[::2]
    assert blocks_of(index, 2) == rows[1::2]
    assert blocks_of(index, 3) == []


def test_moved_blocks_are_found_where_they_went(index: Index) -> None:
    rows = [row(number, 1) for number in range(4)]
    index.add(rows, {1: 40})
    assert index.move([(rows[0], 100), (rows[2], 200)], 7, 300) == {1: 2}
    assert index.find(rows[0].multihash) == Location(7, 100, LENGTH)
    assert index.find(rows[1].multihash) == Location(1, 10, LENGTH)
    assert index.packs() == {1: PackState(40, 2), 7: PackState(300, 2)}
    assert index.move([(rows[1], 300), (rows[3], 310)], 7, 320) == {1: 2}
    assert index.packs() == {1: PackState(40, 0), 7: PackState(320, 4)}


def test_a_block_that_stands_elsewhere_by_now_stays_there(index: Index) -> None:
    rows = [row(number, 1) for number in range(3)]
    index.add(rows, {1: 30})
    index.remove([rows[0].multihash], nobody)
    index.move([(rows[1], 5)], 2, 15)
    assert index.move([(each, 100 + at) for at, each in enumerate(rows)], 3, 200) == {1: 1}
    assert index.find(rows[0].multihash) is None
    assert index.find(rows[1].multihash) == Location(2, 5, LENGTH)
    assert index.find(rows[2].multihash) == Location(3, 102, LENGTH)
    assert live(index) == {1: 0, 2: 1, 3: 1}


def test_a_block_that_was_deleted_and_stored_again_stays_where_it_is(index: Index) -> None:
    old = row(1, 1)
    index.add([old], {1: 20})
    index.remove([old.multihash], nobody)
    index.add([old._replace(pack=2)], {2: 20})
    assert index.move([(old, 0)], 3, 10) == {1: 0}
    assert live(index) == {1: 0, 2: 1, 3: 0}


def test_moving_beside_adding_and_deleting_keeps_the_counts(index: Index) -> None:
    """Three threads over the same blocks; whoever comes second in a race changes nothing."""
    numbers = range(60)
    gone: Counter[int] = Counter()

    def add(rng: Random) -> None:
        for _ in range(60):
            some = [row(number, pack := rng.randrange(1, 5)) for number in rng.sample(numbers, 8)]
            index.add([each._replace(pack=pack) for each in some], {pack: 1000})

    def delete(rng: Random) -> None:
        for _ in range(60):
            gone.update(index.remove([row(n, 1).multihash for n in rng.sample(numbers, 5)], nobody))

    def move(rng: Random) -> None:
        for target in range(10, 70):
            source = rng.choice(sorted(index.packs()) or [1])
            rows = blocks_of(index, source)
            index.move([(each, each.offset + 1) for each in rows], target, 1000)

    jobs = [add, delete, move, delete]
    threads = [threading.Thread(target=job, args=(Random(at),)) for at, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(live(index).values()) == len(index.lengths([row(n, 1).multihash for n in numbers]))
    assert gone


# --- in a store ------------------------------------------------------------------------------


class MeanwhileEmptied:
    """Readers that are too late: the pack is emptied and gone before their first read."""

    def __init__(self, store: DiskBlockStore) -> None:
        self.store, self.inner, self.late = store, store._readers, True
        store._readers = self  # type: ignore[assignment]

    def read(self, pack: int, offset: int, length: int) -> bytes:
        if self.late:
            self.late = False
            empty_pack(self.store, pack)
        return self.inner.read(pack, offset, length)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    opened = DiskBlockStore(tmp_path, None)
    yield opened
    opened.close()


def stored(store: DiskBlockStore, data: bytes) -> Cid:
    cid = Cid.of(data)
    with store.batch() as batch:
        batch.put(cid, data)
        batch.commit()
    return cid


def test_a_read_finds_a_block_that_moves_under_it(store: DiskBlockStore) -> None:
    cid = stored(store, b"moving")
    late = MeanwhileEmptied(store)
    assert store.get(cid) == b"moving"
    assert not late.late
    assert store.count() == 1


def test_a_block_whose_pack_is_gone_without_it_is_missing(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    cid = stored(store, b"lost")
    for path in tmp_path.glob("*.pack"):
        path.unlink()
    with pytest.raises(BlockMissing):
        store.read(cid)


def test_what_is_relied_on_meanwhile_is_not_deleted(index: Index) -> None:
    """Who relies is asked, and the rows go, while nobody can begin to rely."""
    index.add([row(1, 1)], {1: 1000})
    free_while: list[str] = []

    def look(when: str) -> None:
        if index.database.read_lock.acquire(blocking=False):
            index.database.read_lock.release()
            free_while.append(when)

    def relying() -> list[Relying]:
        look("asked who relies")
        return []

    writer = index.database._writer
    assert writer is not None
    writer.set_trace_callback(lambda text: look(text) if text == "COMMIT" else None)
    assert index.remove([row(1, 1).multihash], relying) == {1: 1}
    assert free_while == []
