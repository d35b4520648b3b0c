"""Room in packs comes back, nothing is lost by it, and nothing grows beyond the capacity."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.errors import BlockDamaged, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.compacting import compaction
from dhtstore.store.blocks.compacting.compaction import PackCompaction
from dhtstore.store.blocks.disk import DiskBlockStore

Made = list[tuple[Cid, bytes]]


def made(count: int, size: int, seed: int = 1) -> Made:
    rng = random.Random(seed)
    data = [rng.randbytes(size) for _ in range(count)]
    return [(Cid.of(each), each) for each in data]


def put(store: DiskBlockStore, some: Made) -> None:
    with store.batch() as batch:
        for cid, data in some:
            batch.put(cid, data)
        batch.commit()


def opened(tmp_path: Path, capacity_bytes: int | None = None) -> DiskBlockStore:
    return DiskBlockStore(tmp_path / "blocks", capacity_bytes, pack_size_bytes=MIB)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    one = opened(tmp_path)
    yield one
    one.close()


def pack_bytes(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "blocks").glob("*.pack"))


def all_of(work: PackCompaction) -> None:
    while work.step():
        pass


def test_room_of_deleted_blocks_comes_back(store: DiskBlockStore, tmp_path: Path) -> None:
    some = made(200, 40 * KIB)
    put(store, some)
    before, used = pack_bytes(tmp_path), store.used_bytes
    store.delete([cid for cid, _ in some[::2]])
    assert pack_bytes(tmp_path) == before
    work = store.compaction()
    while work.look():
        pass
    dead, worth = work.dead_bytes()
    assert dead == worth == pytest.approx(before / 2, rel=0.01)
    most = before
    while work.step():
        most = max(most, pack_bytes(tmp_path))
    assert most <= before + MIB  # one pack's live bytes are there twice, never more
    assert work.freed_bytes == before - pack_bytes(tmp_path) == dead
    assert used - store.used_bytes == pytest.approx(dead, rel=0.02)
    for cid, data in some[1::2]:
        assert store.get(cid) == data


def test_packs_that_are_mostly_alive_are_left(store: DiskBlockStore, tmp_path: Path) -> None:
    some = made(100, 40 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::10]])
    before = pack_bytes(tmp_path)
    work = store.compaction()
    all_of(work)
    assert work.copied_bytes == 0
    assert pack_bytes(tmp_path) == before


def test_a_rebuilt_index_finds_the_copies(store: DiskBlockStore, tmp_path: Path) -> None:
    some = made(100, 40 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    all_of(store.compaction())
    store.close()
    for path in (tmp_path / "blocks").glob("index.sqlite*"):
        path.unlink()
    again = opened(tmp_path)
    assert set(again.cids()) == {cid for cid, _ in some[1::2]}
    again.close()


@pytest.mark.parametrize("steps", range(1, 60, 7))
def test_it_may_end_at_any_step(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a crash, and by being given up; then another goes on."""
    monkeypatch.setattr(compaction, "_STEP_ROWS", 7)
    monkeypatch.setattr(compaction, "_MOVED_AT_ONCE", 5)
    some = made(120, 20 * KIB)
    crashed = opened(tmp_path)
    put(crashed, some)
    crashed.delete([cid for cid, _ in some if random.Random(cid.raw).random() < 0.6])
    left = set(crashed.cids())
    work = crashed.compaction()
    for _ in range(steps):
        work.step()
    again = opened(tmp_path)
    crashed.close()  # too late to write anything: the files are another's by now
    assert set(again.cids()) == left
    work = again.compaction()
    for _ in range(steps):
        work.step()
    work.close()
    assert set(again.cids()) == left
    all_of(again.compaction())
    assert {cid: again.get(cid) for cid in left} == {k: v for k, v in some if k in left}
    assert again.used_bytes < 1.3 * sum(20 * KIB for _ in left) + 300 * KIB
    again.close()


def test_what_comes_and_goes_meanwhile_is_right(
    store: DiskBlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_STEP_ROWS", 5)
    monkeypatch.setattr(compaction, "_MOVED_AT_ONCE", 3)
    some, rng = made(150, 10 * KIB), random.Random(3)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    there = dict(some[1::2])
    work = store.compaction()
    while work.step():
        cid, data = rng.choice(some)
        if cid in there and rng.random() < 0.7:
            store.delete([cid])
            del there[cid]
        else:
            with store.batch() as batch:
                batch.put(cid, data, anew=cid in there)
                batch.commit()
            there[cid] = data
        assert set(store.cids()) == set(there)
    assert {cid: store.get(cid) for cid in there} == there


def test_without_room_for_a_copy_it_ends_and_says_so(tmp_path: Path) -> None:
    store = opened(tmp_path, 8 * MIB)
    some = made(200, 30 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    free_bytes = store.space().free_bytes
    assert free_bytes is not None
    room = store.reserve(free_bytes)
    work = store.compaction()
    all_of(work)
    assert work.full
    assert work.copied_bytes == 0
    assert store.used_bytes <= 8 * MIB
    room.release()
    all_of(store.compaction())
    assert store.used_bytes < 5 * MIB
    store.close()


def test_rot_is_told_and_never_lost_in_silence(store: DiskBlockStore, tmp_path: Path) -> None:
    some = made(60, 40 * KIB)
    put(store, some)
    rotten = some[1][0]
    place = store._index.find(rotten.multihash)
    assert place is not None
    path = tmp_path / "blocks" / f"{place.pack:08d}.pack"
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, b"rot", place.offset)
    os.close(fd)
    store.delete([cid for cid, _ in some[::2]])
    work = store.compaction()
    all_of(work)
    assert work.damaged == [rotten]
    assert store.has(rotten)
    with pytest.raises(BlockDamaged):
        store.get(rotten)


def test_a_disk_that_refuses_the_copy_leaves_all_as_it_was(
    store: DiskBlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = made(60, 40 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    used = store.used_bytes

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", refuse)
    work = store.compaction()
    with pytest.raises(NoRoom):
        all_of(work)
    work.close()
    monkeypatch.undo()
    assert store.used_bytes == used
    for cid, data in some[1::2]:
        assert store.get(cid) == data
    all_of(store.compaction())
    assert store.used_bytes < used


@pytest.mark.parametrize("left_bytes", [64 * KIB, 3 * MIB])
def test_a_store_that_is_full_gives_room_back(tmp_path: Path, left_bytes: int) -> None:
    """Each pack has more that is alive than there is room for."""
    store = DiskBlockStore(tmp_path / "blocks", 24 * MIB, pack_size_bytes=8 * MIB)
    some = made(600, 30 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    free_bytes = store.space().free_bytes
    assert free_bytes is not None
    room = store.reserve(free_bytes - left_bytes)
    work, most = store.compaction(), 0
    while work.step():
        most = max(most, store.used_bytes)
    assert most <= 24 * MIB
    assert not work.full
    assert work.freed_bytes > 7 * MIB
    assert {cid: store.get(cid) for cid, _ in some[1::2]} == dict(some[1::2])
    room.release()
    store.close()
    again = DiskBlockStore(tmp_path / "blocks", 24 * MIB, pack_size_bytes=8 * MIB)
    assert set(again.cids()) == {cid for cid, _ in some[1::2]}
    again.close()


def test_a_capacity_below_what_is_used_keeps_no_room_from_coming_back(tmp_path: Path) -> None:
    store = opened(tmp_path, 24 * MIB)
    some = made(300, 30 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some if cid not in dict(some[::10])])
    store.set_capacity(2 * MIB)
    before = store.used_bytes
    work, most = store.compaction(), 0
    while work.step():
        most = max(most, store.used_bytes)
    assert most <= before + MIB
    assert store.used_bytes < 2 * MIB
    store.close()


def test_who_reads_where_a_block_was_finds_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskBlockStore(tmp_path / "blocks", None, pack_size_bytes=8 * MIB)
    some = made(200, 30 * KIB)
    put(store, some)
    store.delete([cid for cid, _ in some[::2]])
    wanted, data = some[-1]
    find, work = store._index.find, store.compaction()

    def late(multihash: bytes) -> object:
        found = find(multihash)
        if multihash == wanted.multihash and not work.copied_bytes:
            while work.step():
                pass
        return found

    monkeypatch.setattr(store._index, "find", late)
    assert store.get(wanted) == data
    store.close()
