"""Reading what is put: changes are noticed, links are never followed, odd files are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.store.files.source import FileSource, SourceEntry, TreeSource


def open_file(path: Path) -> FileSource:
    return FileSource(os.open(path, os.O_RDONLY), path.name)


def open_tree(path: Path) -> TreeSource:
    return TreeSource(os.open(path, os.O_RDONLY | os.O_DIRECTORY), path.name)


def test_a_file_is_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = open_file(path)
    assert source.size_bytes == 10
    assert source.read(7, 100) == b"789"
    assert source.read(0, 3) == b"012"
    assert source.read(10, 5) == b""
    source.check_unchanged()
    source.close()
    source.close()


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = open_file(path)
    os.truncate(path, 4)
    with pytest.raises(SourceChanged, match="f shrank"):
        source.read(0, 10)
    with pytest.raises(SourceChanged):
        source.check_unchanged()
    source.close()


def test_a_file_that_grows_or_is_rewritten_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = open_file(path)
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(0, 1))
    assert source.read(0, 1) == b"9"
    with pytest.raises(SourceChanged):
        source.check_unchanged()
    source.close()


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UnreadableSource):
        FileSource(fd)
    with pytest.raises(OSError):
        os.fstat(fd)


def test_a_tree_is_listed_in_order_with_links_as_links(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"xx")
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "dirlink").symlink_to("b")
    tree = open_tree(tmp_path)
    assert list(tree.entries()) == [
        SourceEntry(("a",), "file", 1),
        SourceEntry(("b",), "directory"),
        SourceEntry(("b", "x"), "file", 2),
        SourceEntry(("b.txt",), "file", 0),
        SourceEntry(("dirlink",), "symlink", target="b"),
        SourceEntry(("link",), "symlink", target="/etc/passwd"),
    ]
    file = tree.open(("b", "x"))
    assert file.read(0, 10) == b"xx"
    file.close()
    for path in (("link",), ("dirlink", "x"), ("nothing",)):
        with pytest.raises(UnreadableSource, match=path[0]):
            tree.open(path)
    tree.close()
    tree.close()


def test_pipes_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "pipe")
    tree = open_tree(tmp_path)
    with pytest.raises(UnreadableSource, match="d/pipe"):
        list(tree.entries())
    with pytest.raises(UnreadableSource, match="d/pipe"):
        tree.open(("d", "pipe"))
    tree.close()


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    tree = open_tree(tmp_path)
    with pytest.raises(UnreadableSource, match="UTF-8"):
        list(tree.entries())
    tree.close()


def test_a_bottomless_tree_is_refused(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(300):
        path = path / "d"
        path.mkdir()
    tree = open_tree(tmp_path)
    with pytest.raises(UnreadableSource, match="too deep"):
        list(tree.entries())
    tree.close()


def test_a_file_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    with pytest.raises(UnreadableSource):
        TreeSource(fd)
