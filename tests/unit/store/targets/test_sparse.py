"""Holes: where whole pages are zeros nothing is written, and nothing else is different."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.content.dag.walk import Directory, File, Leaf, Piece
from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.sparse import HOLE_BYTES, holes, lengthen
from dhtstore.store.files.tree_output import TreeOutput

ROOT = Cid.of(b"root")
SOME = random.Random(1).randbytes(HOLE_BYTES)


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def on_disk_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512


RUNS = st.lists(
    st.tuples(st.sampled_from([b"\0", b"x", b"\0x"]), st.integers(1, 3 * HOLE_BYTES)), max_size=8
)


@given(RUNS, st.integers(0, 2 * HOLE_BYTES))
def test_holes_are_zeros_and_all_pages_of_zeros_are_holes(
    runs: list[tuple[bytes, int]], offset: int
) -> None:
    data = b"".join(byte * count for byte, count in runs)
    found = list(holes(offset, memoryview(data)))
    flat = [at for span in found for at in span]
    assert flat == sorted(set(flat))  # in order, apart, not empty
    assert not any(data[start:end].strip(b"\0") for start, end in found)
    for at in range(-offset % HOLE_BYTES, len(data) - HOLE_BYTES + 1, HOLE_BYTES):
        if not data[at : at + HOLE_BYTES].strip(b"\0"):
            assert any(start <= at < end for start, end in found)


@pytest.mark.parametrize("kind", ["file", "tree"])
def test_what_is_got_has_holes(tmp_path: Path, dir_fd: int, kind: str) -> None:
    data = SOME + bytes(8 * MIB) + SOME + bytes(MIB)
    path = () if kind == "file" else ("f",)
    output = FileOutput(dir_fd, "t", ROOT) if kind == "file" else TreeOutput(dir_fd, "t", ROOT)
    output.accept([] if kind == "file" else [Directory(())])
    output.accept([File(path, len(data))])
    output.accept([Piece(path, at, data[at : at + MIB]) for at in range(0, len(data), MIB)])
    output.finish()
    written = tmp_path.joinpath("t", *path)
    assert written.read_bytes() == data
    assert on_disk_bytes(written) < MIB


def test_a_run_that_goes_on_trusts_no_hole(tmp_path: Path, dir_fd: int) -> None:
    """What the earlier run wrote there may be anything by now."""
    data = SOME + bytes(4 * HOLE_BYTES)
    first = FileOutput(dir_fd, "f", ROOT)
    first.accept([File((), len(data)), Piece((), 0, data)])
    first.close()
    with (tmp_path / "f.part").open("r+b") as part:
        part.seek(3 * HOLE_BYTES)
        part.write(b"garbage")
    second = FileOutput(dir_fd, "f", ROOT)
    whole = Leaf((), 0, len(data))
    assert second.claims(whole)
    assert second.recall(whole, Cid.of(data)) is None
    second.accept([File((), len(data)), Piece((), 0, data)])
    second.finish()
    assert (tmp_path / "f").read_bytes() == data


def test_a_file_of_a_tree_that_was_changed_gets_its_zeros_back(tmp_path: Path, dir_fd: int) -> None:
    data = bytes(4 * HOLE_BYTES)
    first = TreeOutput(dir_fd, "t", ROOT)
    first.accept([Directory(()), File(("f",), len(data)), Piece(("f",), 0, data)])
    first.close()
    (tmp_path / "t.part" / "f").write_bytes(b"x" * len(data))
    second = TreeOutput(dir_fd, "t", ROOT)
    assert second.recall(Leaf(("f",), 0, len(data)), Cid.of(data)) is None
    second.accept([Directory(()), File(("f",), len(data)), Piece(("f",), 0, data)])
    second.finish()
    assert (tmp_path / "t" / "f").read_bytes() == data


@pytest.mark.parametrize("kind", ["file", "tree"])
def test_what_cannot_fit_is_refused_before_a_byte_is_written(
    tmp_path: Path, dir_fd: int, kind: str
) -> None:
    path = () if kind == "file" else ("f",)
    output = FileOutput(dir_fd, "t", ROOT) if kind == "file" else TreeOutput(dir_fd, "t", ROOT)
    with pytest.raises(NoRoom, match="free are"):
        output.accept([File(path, 1 << 60)])
    output.close()
    if kind == "file":
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("size", [1, HOLE_BYTES - 1, HOLE_BYTES, HOLE_BYTES + 1, 3 * HOLE_BYTES])
def test_small_files_of_zeros_have_their_length(tmp_path: Path, dir_fd: int, size: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), File(("f",), size), Piece(("f",), 0, bytes(size))])
    output.finish()
    assert (tmp_path / "t" / "f").read_bytes() == bytes(size)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory is known here")
def test_nothing_is_allocated_ahead_in_memory() -> None:
    """It would be cleared first, page by page, and be written then."""
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        lengthen(file.fileno(), 4 * MIB, "f")
        status = os.fstat(file.fileno())
        assert (status.st_size, status.st_blocks) == (4 * MIB, 0)
