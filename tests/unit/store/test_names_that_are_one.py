"""Trees onto file systems that take two names for one: nothing is overwritten, both are named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Leaf, Output, Piece, Symlink
from dhtstore.errors import TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files import tree_names
from dhtstore.store.files.tree_output import TreeOutput
from tests.unit.store.folding_os import FoldingOs

ROOT = Cid.of(b"root")


@pytest.fixture
def dir_fd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(tree_names, "os", FoldingOs())
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def file(path: tuple[str, ...], data: bytes) -> list[Output]:
    return [File(path, len(data)), Piece(path, 0, data)]


UPPER, LOWER = file(("README",), b"upper"), file(("readme",), b"lower")
PAIRS: dict[str, tuple[list[Output], list[Output], str]] = {
    "files": (UPPER, LOWER, "readme and README"),
    "directories": ([Directory(("D",))], [Directory(("d",))], "d and D"),
    "links": ([Symlink(("L",), "x")], [Symlink(("l",), "x")], "l and L"),
    "a file and a directory": (UPPER, [Directory(("readme",))], "readme and README"),
    "a directory and a link": ([Directory(("D",))], [Symlink(("d",), "x")], "d and D"),
    "two spellings": (file(("\u00e9",), b"1"), file(("e\u0301",), b"2"), "e\u0301 and \u00e9"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_names_of_one_tree_that_are_one_here(tmp_path: Path, dir_fd: int, pair: str) -> None:
    first, second, both = PAIRS[pair]
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), *first])
    before = [(each.name, each.lstat()) for each in (tmp_path / "t.part").iterdir()]
    with pytest.raises(TargetUnusable, match=re.escape(f"{both} are one name")):
        output.accept(second)
    assert [(each.name, each.lstat()) for each in (tmp_path / "t.part").iterdir()] == before
    output.close()
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("last", [UPPER, LOWER])
def test_the_next_run_refuses_them_too(tmp_path: Path, dir_fd: int, last: list[Output]) -> None:
    """Whichever comes first then, and although one of them is there from before."""
    first = TreeOutput(dir_fd, "t", ROOT)
    first.accept([Directory(()), *UPPER])
    first.close()
    output = TreeOutput(dir_fd, "t", ROOT)
    output.recall(Leaf(("README",), 0, 5), Cid.of(b"upper"))
    with pytest.raises(TargetUnusable, match="readme and README"):
        output.accept([Directory(()), *(LOWER if last is UPPER else UPPER), *last])
    assert (tmp_path / "t.part" / "README").read_bytes() == b"upper"
    output.close()


def test_a_tree_without_such_names_is_resumed_there(tmp_path: Path, dir_fd: int) -> None:
    outputs = [Directory(()), Directory(("D",)), *file(("D", "A"), b"aaa"), Symlink(("L",), "D")]
    first = TreeOutput(dir_fd, "t", ROOT)
    first.accept(outputs)
    first.close()
    second = TreeOutput(dir_fd, "t", ROOT)
    assert second.recall(Leaf(("D", "A"), 0, 3), Cid.of(b"aaa")) == b"aaa"
    second.accept(outputs)
    second.finish()
    assert (tmp_path / "t" / "L" / "A").read_bytes() == b"aaa"
