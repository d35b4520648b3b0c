"""What is stored can be read whatever the disk does; what is to be written waits for room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dhtstore.errors import DhtstoreError, HomeUnusable, NoRoom
from dhtstore.params import MIB
from dhtstore.store.blocks import disk
from dhtstore.store.blocks.contract import Batch
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.integration.disks import SmallDisk
from tests.integration.store_child import block
from tests.sampling import files_bytes

CID, DATA = block(1)
SEED = bytes(range(32))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path)
    yield small
    small.unmount()


def put(store: DiskBlockStore, number: int) -> None:
    with store.batch() as batch:
        batch.put(*block(number))
        batch.commit()


def stored(directory: Path) -> None:
    """A block, and a row of a ledger, and nothing open."""
    store = DiskBlockStore(directory / "blocks", None)
    put(store, 1)
    store.close()
    ledger = SqliteKeyValue(directory / "ledger")
    ledger.write([(b"a", b"1")])
    ledger.close()


def take_from_a_crash(directory: Path, elsewhere: Path) -> None:
    """As ``stored``, of a process that died: what was written is in the logs of SQLite only."""
    elsewhere.mkdir()
    store = DiskBlockStore(elsewhere / "blocks", None)
    put(store, 1)
    ledger = SqliteKeyValue(elsewhere / "ledger")
    ledger.write([(b"a", b"1")])
    shutil.copytree(elsewhere, directory, dirs_exist_ok=True)
    store.close()
    ledger.close()


def put_many(batch: Batch) -> None:
    for number in range(100, 400):
        batch.put(*block(number))
    batch.commit()


def no_more_writes(small: SmallDisk, how: str) -> None:
    if how == "full":
        for shared in small.path.rglob("*-shm"):  # else opening the logs gives room back
            shared.unlink()
        small.fill()
    else:
        small.remount("ro")


def writes_again(small: SmallDisk, how: str) -> None:
    if how == "full":
        small.free()
    else:
        small.remount("rw")


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_stores_are_opened_to_be_read_and_write_again_when_the_disk_does(
    small: SmallDisk,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    crashed: bool,
) -> None:
    if crashed:
        take_from_a_crash(small.path, tmp_path_factory.mktemp("before") / "home")
    else:
        stored(small.path)
    no_more_writes(small, how)
    store = DiskBlockStore(small.path / "blocks", 10**9)
    ledger = SqliteKeyValue(small.path / "ledger")

    assert store.get(CID) == DATA
    assert list(store.cids()) == [CID]
    assert store.count() == 1
    used_bytes = store.used_bytes
    with pytest.raises(NoRoom, match="can only be read"):
        store.reserve(1)
    with pytest.raises(NoRoom):
        put(store, 2)
    with pytest.raises(NoRoom):
        store.delete([CID])
    assert ledger.scan(b"") == [(b"a", b"1")]
    with pytest.raises(DhtstoreError):
        ledger.write([(b"b", b"2")])
    assert ledger.get(b"a") == b"1"

    writes_again(small, how)
    with pytest.raises(NoRoom):  # not at each attempt: opening anew looks through the packs
        store.reserve(1)
    monkeypatch.setattr(disk, "REOPEN_AFTER_S", 0.0)
    put(store, 2)
    assert store.count() == 2
    assert store.used_bytes > used_bytes
    ledger.write([(b"b", b"2")])
    assert ledger.count(b"") == 2
    store.close()
    ledger.close()
    again = DiskBlockStore(small.path / "blocks", None)
    assert again.get(block(2)[0]) == block(2)[1]
    again.close()


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_home_of_an_earlier_start_is_used_on_such_a_disk(small: SmallDisk, how: str) -> None:
    home = Home(small.path)
    assert home.key_seed("node", SEED) == SEED
    home.write_config('network = "a"\n')
    home.lock().close()
    no_more_writes(small, how)
    again = Home(small.path)
    lock = again.lock()
    assert again.key_seed("node", bytes(32)) == SEED
    assert again.read_config() == 'network = "a"\n'
    with pytest.raises(NoRoom if how == "full" else HomeUnusable):
        again.write_config('network = "b"\n')
    lock.close()


def test_a_read_only_home_is_asked_where_its_node_listens(small: SmallDisk) -> None:
    home = Home(small.path)
    inside = small.path / "control.sock"
    assert home.socket_path == home.socket_to_ask == inside
    inside.touch()  # of a node that runs, or that was killed
    small.remount("ro")
    outside = home.socket_path
    assert outside.parent != small.path
    assert home.socket_to_ask == inside, "the disk failed under the node"
    outside.touch()
    assert home.socket_to_ask == outside, "it started on the disk as it is"
    small.remount("rw")
    inside.unlink()
    assert home.socket_to_ask == outside
    outside.unlink()
    assert home.socket_to_ask == inside


def test_the_lock_holds_on_a_disk_that_takes_no_writes(small: SmallDisk) -> None:
    home = Home(small.path)
    home.lock().close()
    small.remount("ro")
    lock = home.lock()
    with pytest.raises(DhtstoreError, match="in use"):
        home.lock()
    lock.close()
    os.stat(small.path / "lock")


def test_what_is_to_stay_free_of_the_disk_stays_free(small: SmallDisk) -> None:
    """Whatever the capacity; what was reserved before others filled the disk is no exception."""
    store = DiskBlockStore(small.path / "blocks", 10**9, disk_reserve_bytes=2 * MIB)
    put(store, 1)
    room = store.reserve(MIB)
    with pytest.raises(NoRoom, match="left free \\(disk_reserve\\)"):
        store.reserve(2 * MIB)
    assert (store.space().free_bytes or 0) < MIB
    assert store.space().disk_reserve_bytes == 2 * MIB
    small.fill()
    with store.batch(room, whole=True) as batch, pytest.raises(NoRoom, match="disk"):
        put_many(batch)
    room.release()
    assert store.get(CID) == DATA
    small.free()
    put(store, 2)
    store.close()


def test_a_disk_that_fills_in_the_middle_leaves_what_was_there(small: SmallDisk) -> None:
    """Of a put, a receive, a collection, and a change of the index alone; then all goes on."""
    store = DiskBlockStore(small.path / "blocks", 10**9)
    for number in range(1, 9):
        put(store, number)
    small.fill()
    for whole in (False, True):
        with store.batch(whole=whole) as batch, pytest.raises(DhtstoreError):
            put_many(batch)
    with suppress(DhtstoreError):
        store.delete([block(8)[0]])
    compaction = store.compaction()
    with suppress(DhtstoreError):
        while compaction.look() or compaction.step():
            pass
    compaction.close()
    assert all(store.get(block(number)[0]) == block(number)[1] for number in range(1, 8))
    assert files_bytes(small.path / "blocks") <= store.used_bytes
    small.free()
    put(store, 9)
    store.delete([block(8)[0]])
    assert store.count() == 8
    store.close()
