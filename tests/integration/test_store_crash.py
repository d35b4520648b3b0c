"""SIGKILL while an output is written, and disks that fill up.  (Of the store and the ledger:
tests/crash.)"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import File, Leaf, Piece
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.tree_output import TreeOutput
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.books import booked
from tests.integration import store_child
from tests.integration.disks import SmallDisk
from tests.integration.store_child import PIECE_BYTES, PIECES, block, piece


def run_and_kill(job: str, directory: Path, number: int, lines: int, spin: int) -> list[bytes]:
    """Kill the child some way after it printed so many lines; all that it printed."""
    command = [sys.executable, "-m", store_child.__name__, job, str(directory), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        printed = [child.stdout.readline() for _ in range(lines)]
        sum(range(spin))  # somewhere between two commits
        child.kill()
        return [line for line in printed + child.stdout.readlines() if line.endswith(b"\n")]


def test_a_partial_output_survives_sigkill(tmp_path: Path) -> None:
    rng = random.Random(6)
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    for round_number in range(4):
        run_and_kill("output", tmp_path, round_number, 1 + round_number, rng.randrange(200_000))
        assert not (tmp_path / "f").exists()
    output = FileOutput(dir_fd, "f", Cid.of(b"root"))
    have = [n for n in range(PIECES) if output.claims(Leaf((), n * PIECE_BYTES, PIECE_BYTES))]
    assert len(have) >= 5
    for number in have:
        with (tmp_path / "f.part").open("rb") as part:
            part.seek(number * PIECE_BYTES)
            assert part.read(PIECE_BYTES) == piece(number)
    output.accept([File((), PIECES * PIECE_BYTES)])
    for n in have:
        assert output.recall(Leaf((), n * PIECE_BYTES, PIECE_BYTES), Cid.of(piece(n))) == piece(n)
    output.accept([Piece((), n * PIECE_BYTES, piece(n)) for n in range(PIECES)])
    output.finish()
    whole = (tmp_path / "f").read_bytes()
    assert whole == b"".join(piece(number) for number in range(PIECES))
    os.close(dir_fd)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; needs the right to mount one."""
    disk = SmallDisk(tmp_path)
    yield disk.path
    disk.unmount()


def test_the_store_goes_on_when_the_disk_is_full(small_disk: Path) -> None:
    command = [sys.executable, "-m", store_child.__name__, "fill", str(small_disk), "0"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    lines = done.stdout.split()
    assert lines[-1] == b"full"
    stored = [int(line) for line in lines[:-1]]
    assert len(stored) > 10
    store = DiskBlockStore(small_disk, None)
    assert store.count() == len(stored)
    cids = [block(number)[0] for number in stored]
    for cid in cids:
        store.get(cid)
    store.delete(cids)
    with store.batch() as batch:
        batch.put(*block(10**6))
        batch.commit()
    assert store.count() == 1
    store.close()


def test_a_batch_bigger_than_the_disk_is_discarded_whole(small_disk: Path) -> None:
    store = DiskBlockStore(small_disk, None)
    with store.batch() as batch:
        batch.put(*block(0))
        batch.commit()
    used = booked(store)

    def overfill() -> None:
        with store.batch() as batch:
            for number in range(1, 1000):
                batch.put(*block(number))
            batch.commit()

    for _ in range(3):
        with pytest.raises(NoRoom):
            overfill()
    assert store.count() == 1
    assert booked(store) == used
    store.close()
    again = DiskBlockStore(small_disk, None)
    assert list(again.cids()) == [block(0)[0]]
    assert booked(again) == used
    again.close()


def test_a_file_that_does_not_fit_stays_resumable(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    dir_fd = os.open(small_disk, os.O_RDONLY)
    output = FileOutput(dir_fd, "f", Cid.of(b"root"))
    with pytest.raises(NoRoom):
        output.accept([File((), 2 << 20)])
    output.close()
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
    ballast.unlink()
    output = FileOutput(dir_fd, "f", Cid.of(b"root"))
    output.accept([File((), 2 << 20), Piece((), 0, bytes(2 << 20))])
    output.finish()
    os.close(dir_fd)


def test_a_tree_that_does_not_fit_stays_resumable(small_disk: Path) -> None:
    dir_fd = os.open(small_disk, os.O_RDONLY)
    output = TreeOutput(dir_fd, "t", Cid.of(b"root"))
    data = b"\x01" * 700_000  # zeros would be holes, which take no room
    size = len(data)
    files = [(File((str(n),), size), Piece((str(n),), 0, data)) for n in range(10)]
    with pytest.raises(NoRoom):
        output.accept([one for pair in files for one in pair])
    output.close()
    again = TreeOutput(dir_fd, "t", Cid.of(b"root"))
    kept = [number for number in range(10) if again.claims(Leaf((str(number),), 0, size))]
    assert kept == list(range(len(kept)))
    for number in kept:
        assert (small_disk / "t.part" / str(number)).read_bytes() == data
    again.close()
    assert not (small_disk / "t").exists()
    os.close(dir_fd)


def test_a_ledger_on_a_full_disk_keeps_what_it_had(small_disk: Path) -> None:
    table = SqliteKeyValue(small_disk / "ledger.sqlite")
    table.write([(b"a", b"1")])
    with pytest.raises(NoRoom):
        table.write([(str(number).encode(), bytes(10_000)) for number in range(1000)])
    assert table.scan(b"") == [(b"a", b"1")]
    table.close()


def test_a_limit_on_file_size_is_no_room(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, for where no file system may be mounted."""
    store = DiskBlockStore(tmp_path, None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        with store.batch() as batch:
            batch.put(*_sized(1, 300_000))
            batch.commit()
            with pytest.raises(NoRoom):
                batch.put(*_sized(2, 300_000))
            with pytest.raises(NoRoom):
                batch.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.count() == 1
    with store.batch() as batch:
        batch.put(*_sized(2, 300_000))
        batch.commit()
    assert store.get(_sized(2, 300_000)[0]) == _sized(2, 300_000)[1]
    store.close()


def _sized(seed: int, size: int) -> tuple[Cid, bytes]:
    data = random.Random(seed).randbytes(size)
    return Cid.of(data), data
