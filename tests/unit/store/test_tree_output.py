"""Writing a tree that is got: resumable by file, and never outside its directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Leaf, Output, Piece, Symlink
from dhtstore.errors import IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files.tree_output import TreeOutput

ROOT, OTHER = Cid.of(b"root"), Cid.of(b"other")


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "out").mkdir()
    fd = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def file(path: tuple[str, ...], data: bytes, mode: int | None = None) -> list[Output]:
    return [File(path, len(data), mode), *([Piece(path, 0, data)] if data else [])]


def recalled(output: TreeOutput, path: tuple[str, ...], data: bytes) -> bool:
    """Whether what an earlier run wrote there is claimed, and still right."""
    leaf = Leaf(path, 0, len(data))
    return output.claims(leaf) and output.recall(leaf, Cid.of(data)) is not None


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_tree_gets_its_name_when_it_is_whole(out: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(()), Directory(("d",)), Symlink(("d", "up"), "../a")])
    output.accept([File(("a",), 6), *file(("d", "b"), b"bb", 0o4640), *file(("d", "e"), b"")])
    output.accept([Piece(("a",), 3, b"def")])
    assert names(out) == ["t.part", "t.part.map"]
    with pytest.raises(IntegrityFailure, match="a is not whole"):
        output.finish()
    output.accept([Piece(("a",), 0, b"abc")])
    output.finish()
    output.close()
    assert names(out) == ["t"]
    assert (out / "t" / "a").read_bytes() == b"abcdef"
    assert (out / "t" / "d" / "up").read_bytes() == b"abcdef"
    assert (out / "t" / "d" / "b").stat().st_mode & 0o7777 == 0o640
    assert (out / "t" / "d" / "e").read_bytes() == b""


def test_an_empty_tree(out: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([Directory(())])
    output.finish()
    assert names(out / "t") == []


def test_the_next_run_keeps_finished_files(out: Path, dir_fd: int) -> None:
    first = TreeOutput(dir_fd, "t", ROOT)
    first.accept([Directory(()), Directory(("d",)), *file(("d", "a"), b"aaa"), File(("b",), 4)])
    first.accept([Piece(("b",), 0, b"bb"), Symlink(("l",), "b")])
    first.close()
    second = TreeOutput(dir_fd, "t", ROOT)
    assert recalled(second, ("d", "a"), b"aaa")
    assert not recalled(second, ("d", "a"), b"aaab")
    assert not recalled(second, ("b",), b"bbbb")
    second.accept([Directory(()), Directory(("d",)), File(("d", "a"), 3), File(("b",), 4)])
    second.accept([Symlink(("l",), "b"), Piece(("d", "a"), 0, b"aaa"), Piece(("b",), 0, b"bbbb")])
    second.finish()
    assert (out / "t" / "d" / "a").read_bytes() == b"aaa"
    assert (out / "t" / "l").read_bytes() == b"bbbb"


BOTH: list[Output] = [Directory(()), *file(("a",), b"aaa"), *file(("b",), b"bbb")]


def interrupted(dir_fd: int, outputs: list[Output]) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept(outputs)
    output.close()


@pytest.mark.parametrize("damage", ["bit", "appended", "cut", "gone", "link", "hard link"])
def test_a_finished_file_that_was_changed_is_written_again(
    out: Path, dir_fd: int, damage: str
) -> None:
    interrupted(dir_fd, BOTH)
    path, victim = out / "t.part" / "a", out / "victim"
    victim.write_bytes(b"aaa")
    if damage in ("gone", "link", "hard link"):
        path.unlink()
    if damage == "link":
        path.symlink_to("../victim")
    elif damage == "hard link":
        path.hardlink_to(victim)
    elif damage != "gone":
        path.write_bytes({"bit": b"aab", "appended": b"aaaa", "cut": b"aa"}[damage])
    second = TreeOutput(dir_fd, "t", ROOT)
    recalled(second, ("a",), b"aaa")
    assert recalled(second, ("b",), b"bbb")
    second.accept(BOTH)
    second.finish()
    assert (out / "t" / "a").read_bytes() == b"aaa"
    assert (out / "t" / "a").lstat().st_nlink == 1
    assert (out / "t" / "b").read_bytes() == b"bbb"
    assert victim.read_bytes() == b"aaa"


def test_files_that_are_recalled_are_not_written_again(out: Path, dir_fd: int) -> None:
    interrupted(dir_fd, BOTH)
    before = (out / "t.part" / "a").stat()
    second = TreeOutput(dir_fd, "t", ROOT)
    assert recalled(second, ("a",), b"aaa")
    second.accept(BOTH)
    second.finish()
    after = (out / "t" / "a").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_not_of_the_tree_gets_no_name(out: Path, dir_fd: int) -> None:
    interrupted(dir_fd, [*BOTH, Directory(("d",)), *file(("d", "e"), b"")])
    (out / "t.part" / "d" / "planted").write_bytes(b"x")
    second = TreeOutput(dir_fd, "t", ROOT)
    second.accept([*BOTH, Directory(("d",)), *file(("d", "e"), b"")])
    with pytest.raises(TargetUnusable, match="d/planted in the partial is not of this tree"):
        second.finish()
    second.close()
    assert not (out / "t").exists()


def test_a_tree_of_the_longest_name(out: Path, dir_fd: int) -> None:
    name = "n" * 255
    first = TreeOutput(dir_fd, name, ROOT)
    first.accept(BOTH)
    first.close()
    second = TreeOutput(dir_fd, name, ROOT)
    assert recalled(second, ("a",), b"aaa")
    second.accept(BOTH)
    second.finish()
    assert names(out) == [name]


def test_the_partial_of_another_content_is_emptied(out: Path, dir_fd: int) -> None:
    first = TreeOutput(dir_fd, "t", OTHER)
    first.accept([Directory(()), Directory(("d",)), *file(("d", "a"), b"aaa")])
    first.accept([Symlink(("d", "out"), "../..")])
    first.close()
    second = TreeOutput(dir_fd, "t", ROOT)
    second.accept([Directory(()), *file(("b",), b"b")])
    second.finish()
    assert names(out / "t") == ["b"]


def test_a_run_that_wrote_nothing_leaves_nothing(out: Path, dir_fd: int) -> None:
    TreeOutput(dir_fd, "t", ROOT).close()
    assert names(out) == []


def test_more_files_at_once_than_descriptors_kept(out: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    paths = [(f"d{n % 100}", f"f{n}") for n in range(300)]
    output.accept([Directory((f"d{n}",)) for n in range(100)])
    output.accept([File(path, 2) for path in paths])
    output.accept([Piece(path, 1, b"y") for path in paths])
    output.accept([Piece(path, 0, b"x") for path in paths])
    output.finish()
    assert all((out / "t").joinpath(*path).read_bytes() == b"xy" for path in paths)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\0b"])
def test_names_that_are_paths_are_refused(out: Path, dir_fd: int, name: str) -> None:
    hostile: list[Output] = [Directory((name,)), File((name,), 1), Symlink((name,), "x")]
    hostile += [File((name, "f"), 1), File((), 1)]
    output = TreeOutput(dir_fd, "t", ROOT)
    for one in hostile:
        with pytest.raises(MalformedDag):
            output.accept([one])
    output.close()
    assert names(out) == []


@pytest.mark.parametrize("target", ["../..", "victim", "/tmp"])
def test_nothing_is_written_through_a_link(tmp_path: Path, dir_fd: int, target: str) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([*file(("victim",), b"safe"), Symlink(("l",), target)])
    before = names(tmp_path)
    hostile: list[Output] = [File(("l", "f"), 1), File(("l",), 1), Directory(("l",))]
    hostile += [Directory(("l", "d")), Symlink(("l", "s"), "x"), Symlink(("l",), "elsewhere")]
    for one in hostile:
        with pytest.raises(MalformedDag):
            output.accept([one])
    assert names(tmp_path) == before
    assert (tmp_path / "out" / "t.part" / "victim").read_bytes() == b"safe"
    output.close()


def test_pieces_of_no_file_are_refused(dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept([File(("a",), 3)])
    for piece in (Piece(("b",), 0, b"x"), Piece(("a",), 2, b"xx"), Piece(("a",), -1, b"x")):
        with pytest.raises(MalformedDag):
            output.accept([piece])
    output.close()


def test_an_existing_target_is_refused(out: Path, dir_fd: int) -> None:
    (out / "t").mkdir()
    with pytest.raises(TargetUnusable):
        TreeOutput(dir_fd, "t", ROOT)
    (out / "u.part").mkdir()
    with pytest.raises(TargetUnusable):
        TreeOutput(dir_fd, "u", ROOT)
    assert names(out) == ["t", "u.part"]


def test_a_target_that_came_to_be_meanwhile_is_kept(out: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT)
    output.accept(file(("a",), b"a"))
    (out / "t").mkdir()
    with pytest.raises(TargetUnusable):
        output.finish()
    output.close()
    assert names(out / "t") == []
