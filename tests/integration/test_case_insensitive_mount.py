"""A tree onto a file system that folds case and has one owner and one mode for all its files, where
this machine can mount one: exFAT by FUSE."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Output, Piece
from dhtstore.errors import TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files.tree_output import TreeOutput

TOOLS = ("losetup", "mkfs.exfat", "mount.exfat-fuse", "umount")


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in TOOLS):
        pytest.skip("needs root and exfat-fuse")
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        device = _run("losetup", "-f", "--show", str(image))
    except subprocess.CalledProcessError:
        pytest.skip("no loop device may be made here")
    try:
        _run("mkfs.exfat", device)
        try:
            _run("mount.exfat-fuse", "-o", "uid=12345", device, str(mounted))
        except subprocess.CalledProcessError:
            pytest.skip("nothing may be mounted here")
        try:
            yield mounted
        finally:
            _run("umount", "-l", str(mounted))
    finally:
        _run("losetup", "-d", device)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def file(name: str, data: bytes) -> list[Output]:
    return [File((name,), len(data)), Piece((name,), 0, data)]


def test_two_names_that_are_one_there_are_refused_by_both_names(folding: Path) -> None:
    dir_fd = os.open(folding, os.O_RDONLY)
    for _ in range(2):  # at first, and where something is left from the run before
        output = TreeOutput(dir_fd, "t", Cid.of(b"root"))
        with pytest.raises(TargetUnusable, match="readme and README are one name"):
            output.accept([Directory(()), *file("README", b"upper"), *file("readme", b"lower")])
        output.close()
        assert [path.name for path in (folding / "t.part").iterdir()] == ["README"]
        assert (folding / "t.part" / "README").read_bytes() == b"upper"
    os.close(dir_fd)


def test_an_ordinary_tree_is_written_and_resumed_there(folding: Path) -> None:
    dir_fd = os.open(folding, os.O_RDONLY)
    outputs = [Directory(()), *file("A", b"aaa")]
    first = TreeOutput(dir_fd, "t", Cid.of(b"root"))
    first.accept(outputs)
    first.close()
    second = TreeOutput(dir_fd, "t", Cid.of(b"root"))
    second.accept([*outputs, *file("B", b"bbb")])
    second.finish()
    os.close(dir_fd)
    assert (folding / "t" / "A").read_bytes() == b"aaa"
    assert (folding / "t" / "B").read_bytes() == b"bbb"
