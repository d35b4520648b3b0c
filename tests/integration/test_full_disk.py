"""What is stored can be read whatever the disk does; what is to be written waits for room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.errors import DhtstoreError, HomeUnusable, NoRoom
from dhtstore.store.blocks import disk
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.integration.disks import SmallDisk
from tests.integration.store_child import block

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
