"""What has rotted is replaced by the commit of what brings it whole, and by nothing before that: a
stranger's unit that is refused must not make a block disappear that others keep.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.errors import BlockDamaged, HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.node.context import Ledger
from dhtstore.params import KIB
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.write_block import write_block
from dhtstore.store.blocks.writing import staged_rows
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace
from simulations.events.users import put_bytes
from tests.books import booked
from tests.hostile.links.test_serving import holding
from tests.simulation.harness import Lab, tell
from tests.unit.store.emptying import blocks_of

Block = tuple[Cid, bytes]
WHOLE = pytest.mark.parametrize("whole", [False, True])


def block(number: int, size: int = 3000) -> Block:
    data = random.Random(number).randbytes(size)
    return Cid.of(data), data


@pytest.fixture(autouse=True)
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "IN_MEMORY_MAX_ROWS", 4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskBlockStore]:
    store = opened(tmp_path)
    with store.batch() as batch:
        for number in range(20):
            batch.put(*block(number))
        batch.commit()
    yield store
    store.close()


def opened(tmp_path: Path) -> DiskBlockStore:
    return DiskBlockStore(tmp_path / "blocks", None, pack_size_bytes=20 * KIB)


def rot(tmp_path: Path, *numbers: int) -> None:
    for number in numbers:
        data = block(number)[1]
        for pack in (tmp_path / "blocks").glob("*.pack"):
            raw = pack.read_bytes()
            pack.write_bytes(raw.replace(data, b"\0" + data[1:]))


def write(store: BlockStore, numbers: range, *, whole: bool, commit: bool) -> None:
    with store.batch(whole=whole) as batch:
        for number in numbers:
            write_block(store, batch, *block(number))
        if commit:
            batch.commit()
    while store.settle():
        pass


@WHOLE
def test_a_batch_that_is_left_takes_no_rotten_block_away(
    store: DiskBlockStore, tmp_path: Path, whole: bool
) -> None:
    rot(tmp_path, 3, 4)
    write(store, range(10), whole=whole, commit=False)
    assert store.count() == 20
    with pytest.raises(BlockDamaged):
        store.get(block(3)[0])
    check_books(store, tmp_path)


@WHOLE
def test_the_commit_replaces_what_has_rotted(
    store: DiskBlockStore, tmp_path: Path, whole: bool
) -> None:
    rot(tmp_path, *range(12))
    write(store, range(10), whole=whole, commit=True)
    check_whole(store, [*range(10), *range(12, 20)])
    write(store, range(12), whole=whole, commit=True)
    check_whole(store, range(20))
    check_books(store, tmp_path)


def test_others_that_rely_on_a_rotten_block_keep_it_and_get_it_whole(
    store: DiskBlockStore, tmp_path: Path
) -> None:
    with store.batch(whole=True) as other:
        assert not other.put(*block(3))
        rot(tmp_path, 3)
        write(store, range(3, 4), whole=True, commit=True)
        other.commit()
        store.delete([block(3)[0]])
        check_whole(store, range(20))


def test_a_pack_that_is_gone_is_written_anew(store: DiskBlockStore, tmp_path: Path) -> None:
    """The index says that its blocks are there; to rely on that would sign for nothing."""
    store._readers.close()
    min((tmp_path / "blocks").glob("*.pack")).unlink()
    write(store, range(20), whole=True, commit=True)
    check_whole(store, range(20))


@WHOLE
@pytest.mark.parametrize("commit", [False, True])
def test_an_error_of_reading_once_costs_no_good_copy(
    store: DiskBlockStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,
    commit: bool,
) -> None:
    failing, real = iter([True]), os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        if length == 3000 and next(failing, False):
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    write(store, range(5), whole=whole, commit=commit)
    check_whole(store, range(20))
    check_books(store, tmp_path)


@WHOLE
def test_a_crash_leaves_the_old_copy_or_the_whole_one(
    store: DiskBlockStore, tmp_path: Path, whole: bool
) -> None:
    """As the files stand before and after the commit, with an index and without."""
    rot(tmp_path, *range(8))
    with store.batch(whole=whole) as batch:
        for number in range(10):
            write_block(store, batch, *block(number))
        after_crash(tmp_path, "before", range(8, 20), 20)
        batch.commit()
        after_crash(tmp_path, "after", range(20), 20)
        for path in (tmp_path / "after").glob("index*"):
            path.unlink()
        again = DiskBlockStore(tmp_path / "after", None)
        check_whole(again, range(20))
        again.close()


def after_crash(tmp_path: Path, name: str, numbers: range, count: int) -> None:
    shutil.copytree(tmp_path / "blocks", tmp_path / name)
    again = DiskBlockStore(tmp_path / name, None)
    check_whole(again, numbers)
    assert again.count() == count
    again.close()


@WHOLE
def test_a_commit_that_fails_leaves_the_old_copy(
    store: DiskBlockStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    rot(tmp_path, 3)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(HomeUnusable):
            write(store, range(10), whole=whole, commit=True)
    assert (store.count(), store.has(block(3)[0])) == (20, True)
    check_books(store, tmp_path)


def check_whole(store: DiskBlockStore, numbers: range | list[int]) -> None:
    for number in numbers:
        assert store.get(block(number)[0]) == block(number)[1]


def check_books(store: DiskBlockStore, tmp_path: Path) -> None:
    files = sum(path.stat().st_size for path in (tmp_path / "blocks").glob("*.pack"))
    assert booked(store) == files + ROW_BYTES * 20
    assert store.count() == len(list(store.cids())) == 20
    for pack, state in store._index.packs().items():
        assert state.live == len(blocks_of(store._index, pack))


def test_the_ledger_forgets_damage_once_the_good_copy_is_committed() -> None:
    async def story(lab: Lab) -> None:
        node, store, root = await holding(lab)
        store.rot(root)
        await node.rot.found(root)
        data = b"content" * 1000
        async with node.disk.batch() as batch:
            write_block(store, batch, root, data)
        assert node.ledger.damage.found() == node.rot.rotten == {root.multihash}
        assert (await put_bytes(node, data, replicas=1)).cid == root
        assert store.get(root) == data
        assert node.ledger.damage.found() == node.rot.rotten == set()

    tell(story)


class Counting(MemoryKeyValue):
    counts = 0

    def count(self, prefix: bytes) -> int:
        self.counts += 1
        return super().count(prefix)


def test_to_write_damage_down_costs_the_same_however_much_there_is() -> None:
    table = Counting()
    damage = Ledger.of(table, no_trace).damage
    for number in range(200):
        damage.record(b"%d" % (number % 100))
    assert damage.count() == len(damage.found()) == 100
    damage.forget([b"1", b"2", b"no such"])
    assert damage.count() == len(damage.found()) == 98
    damage.replace([b"1", b"3"])
    assert damage.found() == {b"1", b"3"}
    assert (damage.count(), table.counts) == (2, 1)
