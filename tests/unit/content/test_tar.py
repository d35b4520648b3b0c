"""A tree as a tar stream: what Python's tarfile and GNU tar read of it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Output, Piece, Symlink
from dhtstore.content.export.tar import TarWriter
from dhtstore.errors import MalformedDag
from dhtstore.model.names import name_of

TIME = (1_700_000_000, 123_456_789)
ODD = name_of(b"caf\xe9")
ODD_AND_LONG = name_of(b"\xff" * 200)
TREE: list[Output] = [
    Directory((), 0o1750, TIME),
    Directory(("d",)),
    File(("d", "small"), 5, 0o6755, (1_000_000_000, 0)),
    Piece(("d", "small"), 0, b"small"),
    File(("d", "empty"), 0),
    File(("n" * 255,), 1024),
    Piece(("n" * 255,), 0, bytes(600)),
    Piece(("n" * 255,), 600, memoryview(b"x" * 424)),
    File((ODD,), 1, None, TIME),
    Piece((ODD,), 0, b"1"),
    File((ODD_AND_LONG,), 0),
    File(("\u00fcml\u00e4ut",), 0, None, (-1, 500_000_000)),
    Symlink(("d", "link"), "../" + ODD, TIME),
    Symlink(("d", "far"), "x/" * 100 + "y"),
]


def written(outputs: list[Output], top: str = "top") -> bytes:
    writer = TarWriter(top)
    raw = b"".join(bytes(part) for output in outputs for part in writer.take(output))
    return raw + writer.end()


def members(raw: bytes) -> dict[bytes, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        return {os.fsencode(member.name): member for member in archive}


def test_names_kinds_and_contents_are_those_of_the_tree() -> None:
    raw = written(TREE)
    found = members(raw)
    assert len(raw) % tarfile.RECORDSIZE == 0
    assert b"top/caf\xe9" in found
    assert b"top/" + b"\xff" * 200 in found
    assert found[b"top/d"].isdir()
    assert os.fsencode(found[b"top/d/link"].linkname) == b"../caf\xe9"
    assert found[b"top/d/far"].linkname == "x/" * 100 + "y"
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        long = archive.extractfile(found[b"top/" + b"n" * 255])
        assert long is not None
        assert long.read() == bytes(600) + b"x" * 424


def test_modes_and_times_are_those_of_the_dag_or_the_same_everywhere() -> None:
    found = members(written(TREE))
    assert found[b"top"].mode == 0o750  # no sticky bit, and below no setuid
    assert found[b"top/d/small"].mode == 0o755
    assert (found[b"top/d"].mode, found[b"top/d/empty"].mode) == (0o755, 0o644)
    assert found[b"top/d/empty"].mtime == 0
    for name in (b"top", b"top/caf\xe9", b"top/d/link"):
        assert found[name].pax_headers["mtime"] == "1700000000.123456789"
    assert found["top/\u00fcml\u00e4ut".encode()].mtime == -0.5
    assert {(member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, "")}


def test_the_same_tree_is_the_same_stream() -> None:
    assert written(TREE) == written(TREE)


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar here")
def test_gnu_tar_takes_it_without_a_word(tmp_path: Path) -> None:
    told_of = [(ODD_AND_LONG,), ("\u00fcml\u00e4ut",)]  # too long, and too old
    quiet = [output for output in TREE if output.path not in told_of]
    done = subprocess.run(
        ["tar", "x"], input=written(quiet), cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stderr == b""
    top = os.fsencode(tmp_path / "top")
    assert sorted(os.listdir(top)) == [b"caf\xe9", b"d", b"n" * 255]
    assert os.stat(top + b"/caf\xe9").st_mtime_ns == 1_700_000_000_123_456_789
    assert os.readlink(top + b"/d/link") == b"../caf\xe9"


@pytest.mark.parametrize(
    "outputs",
    [
        [File(("a",), 2), Piece(("a",), 0, b"abc")],
        [File(("a",), 2), Piece(("a",), 0, b"a"), Directory(("d",))],
        [File(("a",), 2), Piece(("a",), 0, b"a")],
        [Piece(("a",), 0, b"a")],
    ],
)
def test_a_file_that_is_not_as_long_as_it_says_is_refused(outputs: list[Output]) -> None:
    with pytest.raises(MalformedDag):
        written(outputs)
