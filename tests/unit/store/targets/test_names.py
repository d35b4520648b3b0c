"""Names that are any bytes, and what may stand for the same ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Output, Piece, Symlink
from dhtstore.errors import MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.model.names import name_of
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.tree_output import TreeOutput

ROOT = Cid.of(b"root")
TWICE = "\uf7c3\uf7a9"  # the escaped bytes of what is written so as well: no put spells it so
ODD = [b"caf\xe9", b"\xff" * 255, "\uf780".encode(), b"\xed\xb3\xbf", "\u00e9".encode()]


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def file(name: str) -> list[Output]:
    return [File((name,), 1), Piece((name,), 0, b"x")]


def test_they_come_back_byte_for_byte(tmp_path: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, name_of(b"tree\xff"), ROOT)
    output.accept([Directory(()), Directory((name_of(b"\xe9"),))])
    for name in ODD:
        output.accept(file(name_of(name)))
    output.accept([Symlink(("l",), name_of(b"caf\xe9"))])
    output.finish()
    tree = os.fsencode(tmp_path) + b"/tree\xff"
    assert sorted(os.listdir(tree)) == sorted([*ODD, b"\xe9", b"l"])
    assert os.readlink(tree + b"/l") == b"caf\xe9"


@pytest.mark.parametrize("first", [TWICE, "\u00e9"])
def test_two_names_of_the_same_bytes_are_in_the_tree_twice(dir_fd: int, first: str) -> None:
    second = "\u00e9" if first == TWICE else TWICE
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), *file(first)])
    for other in ([File((second,), 1)], [Directory((second,))], [Symlink((second,), "x")]):
        with pytest.raises(MalformedDag, match="twice"):
            output.accept(other)
    output.close()


def test_nothing_goes_through_a_link_of_another_spelling(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "victim").mkdir()
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), Symlink(("\u00e9",), "../victim")])
    for hostile in (File((TWICE, "f"), 1), Directory((TWICE, "d"))):
        with pytest.raises(MalformedDag):
            output.accept([hostile])
    output.close()
    assert os.listdir(tmp_path / "victim") == []


@pytest.mark.parametrize("kind", [FileOutput, TreeOutput])
@pytest.mark.parametrize("name", [b"\xff" * 255, "\u00e9".encode() * 127, b"n" * 255])
def test_a_name_as_long_as_can_be_goes_on(
    tmp_path: Path, dir_fd: int, name: bytes, kind: type[FileOutput | TreeOutput]
) -> None:
    """Also where its text is three times as long as its bytes."""
    path = () if kind is FileOutput else ("f",)
    outputs: list[Output] = [] if kind is FileOutput else [Directory(())]
    outputs += [File(path, 2), Piece(path, 0, b"ab")]
    first = kind(dir_fd, name_of(name), ROOT)
    first.accept(outputs)
    first.close()
    assert len(os.listdir(tmp_path)) == 2
    second = kind(dir_fd, name_of(name), ROOT)
    second.accept(outputs)
    second.finish()
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_a_name_that_is_too_long_is_told(dir_fd: int) -> None:
    with pytest.raises(TargetUnusable, match="too long"):
        FileOutput(dir_fd, name_of(b"\xff" * 256), ROOT)
