"""Reading what is put: changes are noticed, links are never followed, odd files are named."""

from __future__ import annotations

import itertools
import os
from contextlib import closing
from pathlib import Path

import pytest

from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.params import TREE_LEVELS_MAX
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import SourceEntry, TreeSource


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
    with pytest.raises(SourceChanged, match="f is not as long"):
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


def test_a_change_is_noticed_whose_time_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source, before = open_file(path), path.stat()
    wait_for_a_tick(tmp_path / "probe")
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SourceChanged, match="f changed"):
        source.check_unchanged()
    source.look()
    source.check_unchanged()
    source.close()


def wait_for_a_tick(probe: Path) -> None:
    """Until the clock of the file system, which is coarse, tells another time than now."""
    probe.touch()
    first_ns = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first_ns:
        os.utime(probe)


def test_a_file_is_read_to_its_end_whatever_its_size_says() -> None:
    path = Path("/proc/version")
    source = open_file(path)
    assert source.size_bytes == 0
    assert source.read_whole(10_000) == path.read_bytes() != b""
    assert source.read_whole(3) is None
    with pytest.raises(SourceChanged):
        source.read(0, 100)
    source.close()


def test_a_whole_file_is_at_most_as_large_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    source = open_file(path)
    assert source.read_whole(10) == b"0123456789"
    assert source.read_whole(9) is None
    with path.open("ab") as file:
        file.write(b"more")
    assert source.read_whole(100) == b"0123456789more"
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
    for path in (("link",), ("dirlink", "x")):
        with pytest.raises(UnreadableSource, match=path[0]):
            tree.open(path)
    with pytest.raises(SourceChanged, match="/nothing vanished"):
        tree.open(("nothing",))
    tree.close()
    tree.close()


def failures(tree: TreeSource) -> dict[str, str]:
    failed = [(entry.path, str(entry.failure)) for entry in tree.entries() if entry.failure]
    return {"/".join(path): why for path, why in failed}


def test_pipes_are_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "pipe")
    tree = open_tree(tmp_path)
    assert [(entry.path, entry.kind) for entry in tree.entries()] == [
        (("d",), "directory"),
        (("d", "pipe"), "failed"),
    ]
    assert failures(tree)["d/pipe"].endswith("link but a pipe")
    with pytest.raises(UnreadableSource, match="d/pipe"):
        tree.open(("d", "pipe"))
    tree.close()


def test_names_that_are_not_utf8_are_read_and_opened_all_the_same(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(directory)
    Path(os.fsdecode(directory + b"/caf\xe9")).write_bytes(b"x")
    os.symlink(b"caf\xe9", directory + b"/link")
    tree = open_tree(tmp_path)
    assert list(tree.entries()) == [
        SourceEntry(("\uf7ff",), "directory"),
        SourceEntry(("\uf7ff", "caf\uf7e9"), "file", 1),
        SourceEntry(("\uf7ff", "link"), "symlink", target="caf\uf7e9"),
    ]
    file = tree.open(("\uf7ff", "caf\uf7e9"))
    assert file.read_whole(10) == b"x"
    file.close()
    tree.close()


def test_names_are_what_stands_in_the_directory_whatever_the_locale_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "d\u00e9").mkdir(parents=True)
    (tree / "d\u00e9" / "caf\u00e9").write_bytes(b"x")
    (tree / "link").symlink_to("d\u00e9/caf\u00e9")
    source = open_tree(tree)
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("latin-1"))
    monkeypatch.setattr(os, "listdir", latin_1_names)
    assert [(entry.path, entry.target) for entry in source.entries()] == [
        (("d\u00e9",), ""),
        (("d\u00e9", "caf\u00e9"), ""),
        (("link",), "d\u00e9/caf\u00e9"),
    ]
    source.close()


LISTDIR = os.listdir


def latin_1_names(fd: int) -> list[str]:
    """As a Latin-1 locale spells them."""
    return [name.encode().decode("latin-1") for name in LISTDIR(fd)]


def vanishing(tree: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of ``tree`` that comes and goes: the first ``times`` it is listed, it is gone then."""
    left = iter(range(times))

    def listdir(fd: int) -> list[str]:
        gone = [] if next(left, None) is None else ["vanished"]
        return [*LISTDIR(fd), *gone]

    monkeypatch.setattr(os, "listdir", listdir)


def test_a_file_that_vanished_while_its_directory_was_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stays").write_bytes(b"")
    vanishing(tmp_path, 1, monkeypatch)
    with closing(open_tree(tmp_path)) as tree:
        assert list(tree.entries()) == [SourceEntry(("stays",), "file")]
    vanishing(tmp_path, 2, monkeypatch)
    with closing(open_tree(tmp_path)) as tree:
        assert "/vanished vanished while" in failures(tree)["vanished"]


def test_a_bottomless_tree_is_refused(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(300):
        path = path / "d"
        path.mkdir()
    with closing(open_tree(tmp_path)) as tree:
        ((deepest, why),) = failures(tree).items()
    assert "too deep" in why
    assert deepest == "/".join("d" * TREE_LEVELS_MAX)


def test_a_directory_that_never_rests_is_read_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(b"")

    def listdir(fd: int) -> list[str]:
        os.utime(fd, ns=(0, next(count)))
        return LISTDIR(fd)

    count = itertools.count()
    monkeypatch.setattr(os, "listdir", listdir)
    with closing(open_tree(tmp_path)) as tree:
        assert [(entry.path, entry.kind) for entry in tree.entries() if entry.path] == [
            (("d",), "failed"),
            (("d",), "directory"),
            (("d", "file"), "file"),
        ]
        assert failures(tree)["d"].endswith("something in it may be missing")


def test_a_file_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    with pytest.raises(UnreadableSource):
        TreeSource(fd)
