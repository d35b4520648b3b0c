"""The disk store after crashes and rot: what was committed is there, and whole, or not served."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from dhtstore.errors import BlockDamaged, HomeUnusable, NoRoom
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.packs import OPEN_PACKS_MAX
from dhtstore.store.blocks.write_block import write_block
from tests.books import booked

Block = tuple[Cid, bytes]


def blocks(count: int, size: int = 500, seed: int = 1) -> list[Block]:
    rng = random.Random(seed)
    return [(Cid.of(data), data) for data in (rng.randbytes(size) for _ in range(count))]


def put(store: DiskBlockStore, some: list[Block]) -> None:
    with store.batch() as batch:
        for cid, data in some:
            batch.put(cid, data)
        batch.commit()


def packs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.pack"))


def check_all_there(store: DiskBlockStore, some: list[Block]) -> None:
    for cid, data in some:
        assert store.get(cid) == data
    assert store.count() == len(list(store.cids())) == len(some)


def used_on_disk(directory: Path, rows: int) -> int:
    return sum(path.stat().st_size for path in packs(directory)) + rows * ROW_BYTES


def test_a_reopened_store_holds_the_same(tmp_path: Path) -> None:
    some = blocks(50)
    store = DiskBlockStore(tmp_path, None)
    put(store, some)
    used = booked(store)
    assert used == used_on_disk(tmp_path, 50)
    store.close()
    again = DiskBlockStore(tmp_path, None)
    check_all_there(again, some)
    assert booked(again) == used
    again.close()


def opened_in(directory: Path) -> int:
    """Descriptors of files there; what other tests left open does not count."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{number}").startswith(f"{directory}/")
    return count


def test_packs_rotate_and_descriptors_are_bounded(tmp_path: Path) -> None:
    some = blocks(200, 10_000)
    store = DiskBlockStore(tmp_path, None, pack_size_bytes=20_000)
    put(store, some)
    assert len(packs(tmp_path)) == 200
    assert opened_in(tmp_path) < 100
    check_all_there(store, some)
    assert opened_in(tmp_path) < OPEN_PACKS_MAX + 20
    assert booked(store) == used_on_disk(tmp_path, 200)
    store.close()


def test_a_pack_goes_with_its_last_block(tmp_path: Path) -> None:
    some = blocks(30, 10_000)
    store = DiskBlockStore(tmp_path, None, pack_size_bytes=100_000)
    put(store, some)
    store.delete([cid for cid, _ in some[:9]])
    assert len(packs(tmp_path)) == 3
    assert booked(store) == used_on_disk(tmp_path, 21)
    store.delete([cid for cid, _ in some[9:]])
    assert packs(tmp_path) == []
    assert booked(store) == 0
    store.close()


def test_deleted_blocks_do_not_come_back_at_a_normal_open(tmp_path: Path) -> None:
    some = blocks(40)
    store = DiskBlockStore(tmp_path, None)
    put(store, some[:20])
    with store.batch() as batch:
        store.delete([cid for cid, _ in some[:10]])
        batch.put(*some[20])
    store.close()
    again = DiskBlockStore(tmp_path, None)
    check_all_there(again, some[10:20])
    again.delete([cid for cid, _ in some[10:20]])
    again.close()
    third = DiskBlockStore(tmp_path, None)
    check_all_there(third, [])
    third.close()


@pytest.mark.parametrize("index_version", [1, 2])
def test_a_tail_that_is_not_indexed_is_cut(tmp_path: Path, index_version: int) -> None:
    """A pack with two indexed blocks and the beginning of two more, at many lengths.  An index of
    version 1 may have lost the last that was acknowledged: whole blocks are kept beside it."""
    some = blocks(4, 120)
    store = DiskBlockStore(tmp_path / "a", None)
    put(store, some[:2])
    known = packs(tmp_path / "a")[0].stat().st_size
    store.close()
    with sqlite3.connect(tmp_path / "a" / "index.sqlite") as db:
        db.execute(f"PRAGMA user_version = {index_version}")
    db.close()
    index = (tmp_path / "a" / "index.sqlite").read_bytes()
    store = DiskBlockStore(tmp_path / "a", None)
    put(store, some[2:])
    store.close()
    raw = packs(tmp_path / "a")[0].read_bytes()
    for size in (*range(known, len(raw), 29), len(raw) - 1, len(raw)):
        directory = tmp_path / f"b{size}"
        directory.mkdir()
        (directory / "index.sqlite").write_bytes(index)
        (directory / "00000001.pack").write_bytes(raw[:size])
        store = DiskBlockStore(directory, None)
        found = (size >= known + (len(raw) - known) // 2) + (size == len(raw))
        whole = 2 + (found if index_version == 1 else 0)
        check_all_there(store, some[:whole])
        assert booked(store) == used_on_disk(directory, whole)
        put(store, some)
        check_all_there(store, some)
        store.close()


def test_a_hole_in_the_tail_hides_nothing_behind_it(tmp_path: Path) -> None:
    """Threads write out of order: a crash may leave zeros before whole records."""
    some = blocks(3, 5000)
    store = DiskBlockStore(tmp_path, None)
    put(store, some)
    store.close()
    pack = packs(tmp_path)[0]
    raw = pack.read_bytes()
    third = len(raw) // 3
    pack.write_bytes(raw[:third] + bytes(third) + raw[2 * third :])
    for path in tmp_path.glob("index.sqlite*"):
        path.unlink()
    again = DiskBlockStore(tmp_path, None)
    check_all_there(again, [some[0], some[2]])
    again.close()


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "other version"])
def test_a_lost_index_is_built_from_the_packs(tmp_path: Path, damage: str) -> None:
    some = blocks(100, 3000)
    node = Cid.of(b"a node", DAG_PB)
    store = DiskBlockStore(tmp_path, None, pack_size_bytes=100_000)
    put(store, [*some, (node, b"a node")])
    used = booked(store)
    store.close()
    path = tmp_path / "index.sqlite"
    if damage == "missing":
        path.unlink()
    elif damage == "other version":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(b"" if damage == "empty" else b"garbage" * 1000)
    again = DiskBlockStore(tmp_path, None, pack_size_bytes=100_000)
    check_all_there(again, [*some, (node, b"a node")])
    assert node in set(again.cids())
    assert booked(again) == used
    again.close()


def test_an_index_found_damaged_in_use_is_rebuilt_at_the_next_open(tmp_path: Path) -> None:
    some = blocks(5000, 30)
    store = DiskBlockStore(tmp_path, None)
    put(store, some)
    store.close()
    path = tmp_path / "index.sqlite"
    raw = bytearray(path.read_bytes())
    raw[7 * 4096 :] = os.urandom(len(raw) - 7 * 4096)
    path.write_bytes(raw)
    damaged = DiskBlockStore(tmp_path, None)
    with pytest.raises(HomeUnusable, match="a restart rebuilds it"):
        damaged.missing([cid for cid, _ in some])
    damaged.close()
    again = DiskBlockStore(tmp_path, None)
    check_all_there(again, some)
    again.close()


def test_rows_whose_bytes_are_gone_are_dropped(tmp_path: Path) -> None:
    some = blocks(20, 10_000)
    store = DiskBlockStore(tmp_path, None, pack_size_bytes=100_000)
    put(store, some)
    store.close()
    first, second, _ = packs(tmp_path)
    first.unlink()
    os.truncate(second, 25_000)
    again = DiskBlockStore(tmp_path, None, pack_size_bytes=100_000)
    check_all_there(again, [*some[9:11], *some[18:]])
    put(again, some)
    check_all_there(again, some)
    again.close()


def test_rot_is_noticed_and_can_be_mended(tmp_path: Path) -> None:
    (cid, data), (other, more) = blocks(2)
    store = DiskBlockStore(tmp_path, None)
    put(store, [(cid, data), (other, more)])
    pack = packs(tmp_path)[0]
    raw = bytearray(pack.read_bytes())
    raw[100] ^= 1
    pack.write_bytes(raw)
    with pytest.raises(BlockDamaged):
        store.get(cid)
    assert store.read(cid) != data
    assert store.get(other) == more
    store.delete([cid])
    put(store, [(cid, data)])
    assert store.get(cid) == data
    os.truncate(pack, 20)
    for read in (store.get, store.read):
        with pytest.raises(BlockDamaged):
            read(other)
    store.close()


def test_the_quota_counts_what_the_files_hold_after_a_reopen(tmp_path: Path) -> None:
    store = DiskBlockStore(tmp_path, MIB)
    put(store, blocks(1, 700 * KIB))
    store.close()
    again = DiskBlockStore(tmp_path, MIB)
    with again.batch() as batch, pytest.raises(NoRoom):
        batch.put(*blocks(1, 200 * KIB, seed=2)[0])
    assert booked(again) == used_on_disk(tmp_path, 1)
    again.close()


def test_no_disk_holds_an_exabyte(tmp_path: Path) -> None:
    store = DiskBlockStore(tmp_path, None)
    with pytest.raises(NoRoom):
        store.reserve(1 << 60)
    assert booked(store) == 0
    store.close()


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HomeUnusable):
        DiskBlockStore(tmp_path / "file", None)


def test_an_index_that_cannot_be_opened_is_not_thrown_away(tmp_path: Path) -> None:
    store = DiskBlockStore(tmp_path, None)
    put(store, blocks(3))
    store.close()
    index = tmp_path / "index.sqlite"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    inode = index.stat().st_ino
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(HomeUnusable):
            DiskBlockStore(tmp_path, None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert index.stat().st_ino == inode
    again = DiskBlockStore(tmp_path, None)
    check_all_there(again, blocks(3))
    again.close()


def test_a_block_that_no_descriptor_is_left_for_is_not_taken_for_rotten(tmp_path: Path) -> None:
    """Whoever has its bytes would write it anew, and throw away the copy that is there."""
    [(cid, data)] = blocks(1)
    store = DiskBlockStore(tmp_path, None)
    put(store, [(cid, data)])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    with store.batch() as batch:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            with pytest.raises(HomeUnusable):
                write_block(store, batch, cid, data)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert store.get(cid) == data
    store.close()


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.pack").write_text("mine")
    store = DiskBlockStore(tmp_path, None)
    put(store, blocks(1))
    store.close()
    assert (tmp_path / "notes.pack").read_text() == "mine"


@pytest.mark.timeout(10)
def test_who_relies_can_be_told_while_a_pack_goes(tmp_path: Path) -> None:
    store = DiskBlockStore(tmp_path, None)
    with store._pool._lock:  # as while a dead pack is unlinked, and the index is told of it
        assert [each.batch for each in store._pool.relying()] == [None]  # protections only
    store.close()
