"""Where a get goes: as people who know cp expect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dhtstore.api.files import open_stream, open_target, takes_stream
from dhtstore.errors import TargetExists, TargetUnusable, TimedOut
from dhtstore.model.names import name_of


def target(path: str | os.PathLike[str], called: str = "NAME", *, force: bool = False) -> Path:
    """Where it would be, by the directory that is open and the name."""
    opened = open_target(path, called, force=force)
    directory = Path(os.readlink(f"/proc/self/fd/{opened.directory}"))
    os.close(opened.directory)
    assert os.fsencode(opened.path.name) == os.fsencode(opened.name)
    return directory / opened.name


def test_into_what_is_a_directory_and_else_by_the_name_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    inside = tmp_path / "dir" / "NAME"
    assert target("dir") == target("dir/") == target("link") == target("dir/.") == inside
    assert target(".") == target("") == tmp_path / "NAME"
    assert target("dir/..") == tmp_path / "NAME"
    assert target("new") == tmp_path / "new"
    assert target("dir/new") == tmp_path / "dir" / "new"
    assert not (tmp_path / "new").exists()


def test_a_slash_at_the_end_makes_a_directory(tmp_path: Path) -> None:
    assert target(f"{tmp_path}/new/") == tmp_path / "new" / "NAME"
    assert (tmp_path / "new").is_dir()
    with pytest.raises(TargetUnusable, match="cannot write into"):
        target(f"{tmp_path}/no/where/")
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnusable, match="File exists"):
        target(f"{tmp_path}/file/")


def test_names_are_bytes(tmp_path: Path) -> None:
    opened = open_target(tmp_path, name_of(b"caf\xe9"))
    os.close(opened.directory)
    assert opened.name == name_of(b"caf\xe9")
    assert os.fsencode(opened.path) == os.fsencode(tmp_path) + b"/caf\xe9"
    opened = open_target(tmp_path / os.fsdecode(b"\xff"), "NAME")
    os.close(opened.directory)
    assert opened.name == name_of(b"\xff")


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_what_is_there_stays_unless_somebody_says_so(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "NAME"
    if kind == "file":
        there.touch()
    elif kind == "directory":
        there.mkdir()
    else:
        there.symlink_to("nowhere")
    with pytest.raises(TargetExists) as refused:
        open_target(tmp_path, "NAME")
    assert "--force" in refused.value.hint
    assert target(tmp_path, force=True) == there


@pytest.mark.parametrize("path", ["a\0b", "a\0b/", "missing/x", "file/x"])
def test_what_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    if path == "a\0b":
        assert not takes_stream(path)  # the node says what is wrong with the name
        return
    with pytest.raises(TargetUnusable):
        target(path)


def test_pipes_and_devices_take_a_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "file").touch()
    assert takes_stream(tmp_path / "fifo")
    assert takes_stream("/dev/null")
    assert takes_stream(tmp_path / "null")
    assert not takes_stream(tmp_path / "file")
    assert not takes_stream(tmp_path)
    assert not takes_stream(tmp_path / "missing")
    with pytest.raises(TargetUnusable, match="nobody reads it"):
        open_stream(tmp_path / "fifo", wait=False)
    with pytest.raises(TargetUnusable, match="something else"):
        open_stream(tmp_path / "file", wait=True)
    assert (tmp_path / "file").stat().st_size == 0
    os.close(open_stream("/dev/null", wait=False))
    with pytest.raises(TimedOut, match="nobody read"):
        open_stream(tmp_path / "fifo", wait=True, timeout_s=0.0)
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = open_stream(tmp_path / "fifo", wait=True, timeout_s=0.0)
    assert os.get_blocking(writer)
    os.close(writer)
    os.close(reader)
