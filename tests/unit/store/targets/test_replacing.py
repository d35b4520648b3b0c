"""--force: what is there goes when what replaces it is whole, and nothing else ever does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Output, Piece
from dhtstore.errors import OldLeft, TargetExists, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files import partial
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.tree_output import TreeOutput

ROOT = Cid.of(b"root")
NEW: list[Output] = [Directory(()), File(("new",), 3), Piece(("new",), 0, b"new")]


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["swaps", "cannot swap"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "cannot swap":
        monkeypatch.setattr(partial, "_renamed", lambda *arguments: False)


def old_tree(path: Path) -> Path:
    """With links out of it, and what its owner may not write to."""
    victim = path / "victim"
    victim.mkdir()
    (victim / "precious").write_bytes(b"precious")
    tree = path / "t"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / "old").write_bytes(b"old")
    (tree / "d" / "out").symlink_to("../../victim")
    (tree / "hard").hardlink_to(victim / "precious")
    (tree / "d").chmod(0o500)
    return tree


@pytest.mark.usefixtures("file_system")
def test_a_tree_takes_the_place_of_another_when_it_is_whole(tmp_path: Path, dir_fd: int) -> None:
    tree = old_tree(tmp_path)
    output = TreeOutput(dir_fd, "t", ROOT, force=True)
    output.accept(NEW)
    assert (tree / "d" / "old").read_bytes() == b"old"
    output.finish()
    output.close()
    assert sorted(os.listdir(tmp_path)) == ["t", "victim"]
    assert os.listdir(tree) == ["new"]
    assert (tmp_path / "victim" / "precious").read_bytes() == b"precious"


@pytest.mark.usefixtures("file_system")
@pytest.mark.parametrize("there", ["file", "link"])
def test_a_tree_takes_the_place_of_a_file_or_of_a_link_itself(
    tmp_path: Path, dir_fd: int, there: str
) -> None:
    old_tree(tmp_path)
    target = tmp_path / "x"
    target.write_bytes(b"old") if there == "file" else target.symlink_to("t")
    output = TreeOutput(dir_fd, "x", ROOT, force=True)
    output.accept(NEW)
    output.finish()
    assert os.listdir(target) == ["new"]
    assert not target.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["t", "victim", "x"]
    assert (tmp_path / "t" / "d" / "old").exists()


def test_a_file_takes_the_place_of_a_link_itself_and_of_no_directory(
    tmp_path: Path, dir_fd: int
) -> None:
    tree = old_tree(tmp_path)
    (tmp_path / "x").symlink_to("victim/precious")
    with pytest.raises(TargetUnusable, match="no file replaces one"):
        FileOutput(dir_fd, "t", ROOT, force=True)
    assert sorted(os.listdir(tmp_path)) == ["t", "victim", "x"]
    output = FileOutput(dir_fd, "x", ROOT, force=True)
    output.accept([File((), 3), Piece((), 0, b"new")])
    output.finish()
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "victim" / "precious").read_bytes() == b"precious"
    assert (tree / "d" / "old").exists()


def test_a_directory_that_came_to_be_meanwhile_stays(tmp_path: Path, dir_fd: int) -> None:
    output = FileOutput(dir_fd, "x", ROOT, force=True)
    output.accept([File((), 3), Piece((), 0, b"new")])
    (tmp_path / "x").mkdir()
    with pytest.raises(TargetUnusable, match="no file replaces one"):
        output.finish()
    output.close()
    assert (tmp_path / "x").is_dir()


def test_what_is_neither_file_nor_directory_stays(tmp_path: Path, dir_fd: int) -> None:
    os.mkfifo(tmp_path / "t")
    for kind in (FileOutput, TreeOutput):
        with pytest.raises(TargetUnusable, match="not replaced"):
            kind(dir_fd, "t", ROOT, force=True)


def test_an_interrupted_run_replaces_nothing_and_can_go_on(tmp_path: Path, dir_fd: int) -> None:
    tree = old_tree(tmp_path)
    first = TreeOutput(dir_fd, "t", ROOT, force=True)
    first.accept(NEW[:2])
    first.close()
    assert (tree / "d" / "old").read_bytes() == b"old"
    with pytest.raises(TargetExists):
        TreeOutput(dir_fd, "t", ROOT)
    second = TreeOutput(dir_fd, "t", ROOT, force=True)
    second.accept(NEW)
    second.finish()
    assert os.listdir(tree) == ["new"]


def test_what_was_replaced_is_cleared_away_by_the_next_run_after_a_crash(
    tmp_path: Path, dir_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the swap and the end of the old tree: it must not be taken for a partial."""
    tree = old_tree(tmp_path)

    def crash(dir_fd: int, name: bytes) -> None:
        raise KeyboardInterrupt

    first = TreeOutput(dir_fd, "t", ROOT, force=True)
    first.accept(NEW)
    with monkeypatch.context() as patched:
        patched.setattr(partial, "remove", crash)
        with pytest.raises(KeyboardInterrupt):
            first.finish()
    first.close()
    assert (tmp_path / "t.part" / "d" / "old").exists()
    second = TreeOutput(dir_fd, "t", ROOT, force=True)
    second.accept(NEW)
    second.finish()
    assert sorted(os.listdir(tmp_path)) == ["t", "victim"]
    assert os.listdir(tree) == ["new"]


def test_a_tree_of_any_depth_gives_way(tmp_path: Path, dir_fd: int) -> None:
    """Deeper than the interpreter's stack, and than a process may have files open."""
    fd = os.dup(dir_fd)
    for _ in range(1500):
        os.mkdir("t", dir_fd=fd)
        below = os.open("t", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    output = TreeOutput(dir_fd, "t", ROOT, force=True)
    output.accept(NEW)
    output.finish()
    output.close()
    assert os.listdir(tmp_path) == ["t"]
    assert os.listdir(tmp_path / "t") == ["new"]


def test_what_cannot_be_removed_is_told_as_what_it_is(
    tmp_path: Path, dir_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t" / "mounted").mkdir(parents=True)
    entered = partial._entered

    def busy(fd: int, name: bytes) -> int:
        if name == b"mounted":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return entered(fd, name)

    monkeypatch.setattr(partial, "_entered", busy)
    output = TreeOutput(dir_fd, "t", ROOT, force=True)
    output.accept(NEW)
    with pytest.raises(OldLeft, match=r"t is whole; of what it replaced, some is left as t\.part"):
        output.finish()
    output.close()
    assert os.listdir(tmp_path / "t") == ["new"]


def test_force_is_not_named_to_whom_it_is_no_help(tmp_path: Path, dir_fd: int) -> None:
    (tmp_path / "f.part").write_bytes(b"of the user")
    with pytest.raises(TargetExists) as caught:
        FileOutput(dir_fd, "f", ROOT, force=True)
    assert "--force" not in caught.value.hint
    assert (tmp_path / "f.part").read_bytes() == b"of the user"


def test_what_came_to_be_a_pipe_meanwhile_is_not_replaced(tmp_path: Path, dir_fd: int) -> None:
    output = TreeOutput(dir_fd, "t", ROOT, force=True)
    output.accept(NEW)
    os.mkfifo(tmp_path / "t")
    with pytest.raises(TargetUnusable, match="is not replaced"):
        output.finish()
    output.close()
    assert (tmp_path / "t").is_fifo()
