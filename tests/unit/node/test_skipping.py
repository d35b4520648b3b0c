"""Trees as people have them: what cannot be stored is skipped and named, the rest is stored."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Directory, File, Output, Symlink
from dhtstore.errors import SourceChanged, UnreadableSource, UsageError
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.batch import Imported
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.source import import_source
from dhtstore.params import CHUNK_SIZE_BYTES, SKIPPED_NAMED_MAX, TREE_LEVELS_MAX
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.files.sources.excluding import NOTHING, Exclusion
from dhtstore.store.files.sources.file import FileSource, unreadable
from dhtstore.store.files.sources.tree import Neighbours, TreeSource
from dhtstore.store.files.sources.wrapped import Wrapped
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking


class Put:
    """A tree put once, and what became of it."""

    def __init__(
        self, path: Path, manner: Manner | None = None, exclusion: Exclusion = NOTHING
    ) -> None:
        self.store, self.manner = MemoryBlockStore(), manner or Manner(strict=False)
        source = TreeSource(os.open(path, os.O_RDONLY), "tree", exclusion)
        try:
            self.root = self.of(source)
        finally:
            source.close()

    def of(self, source: TreeSource | Wrapped) -> Imported:
        work = import_source(
            Disk(self.store, InlineBlocking()),
            source,
            UNIXFS_V1_2025,
            lambda done_bytes: None,
            manner=self.manner,
        )
        return run(work, VirtualLoop())

    @property
    def skipped(self) -> dict[str, str]:
        return {entry.path: entry.why for entry in self.manner.skipped}

    def node(self, cid: Cid) -> DagNode:
        return read_node(cid, bytes(self.store.get(cid)))

    def outputs(self) -> list[Output]:
        walk, found = TreeWalk(self.root.cid), list[Output]()
        found += walk.opening
        while wants := walk.next(1):
            (want,) = wants
            found += walk.accept(want, self.node(want.cid))
        return found

    def names(self) -> set[str]:
        kinds = Directory | File | Symlink
        return {"/".join(each.path) for each in self.outputs() if isinstance(each, kinds)} - {""}


def put_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "absolute": (lambda path: path.symlink_to("/usr/bin/python3"), "leads out"),
    "up": (lambda path: path.symlink_to("../../outside"), "leads out"),
    "roundabout": (lambda path: path.symlink_to("d/../f"), "'..' behind a name"),
    "through": (lambda path: path.symlink_to("x/../../y"), "'..' behind a name"),
    "pipe": (os.mkfifo, "a pipe"),
    "socket": (put_socket, "a socket"),
}


@pytest.mark.parametrize(("make", "why"), ODD.values(), ids=list(ODD))
def test_what_nobody_could_get_back_is_skipped_and_the_rest_stored(
    make: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"data")
    clean = Put(tmp_path)
    make(tmp_path / "a" / "odd")
    put = Put(tmp_path)
    assert put.root == clean.root
    assert list(put.skipped) == ["a/odd"]
    assert why in put.skipped["a/odd"]
    assert "tree" not in put.skipped["a/odd"]  # the path is said once
    with pytest.raises(UnreadableSource, match="tree/a/odd") as refused:
        Put(tmp_path, Manner(strict=True))
    assert "--exclude" in refused.value.hint
    assert Put(tmp_path, Manner(strict=True), Exclusion.of(["odd"])).root == clean.root


class Unreadable(TreeSource):
    """As the user who may read everything never meets it."""

    def open(self, path: tuple[str, ...], near: Neighbours | None = None) -> FileSource:
        if path[-1].startswith("secret"):
            error = UnreadableSource(f"{self.label(path)} cannot be read: Permission denied")
            vars(error)["why"] = "cannot be read: Permission denied"
            raise error
        if path[-1].startswith("gone"):
            raise SourceChanged(f"{self.label(path)} vanished while it was put")
        return super().open(path, near)


@pytest.mark.parametrize("size", [10, CHUNK_SIZE_BYTES + 1])
def test_a_file_that_cannot_be_read_is_skipped(size: int, tmp_path: Path) -> None:
    for name in ("file", "gone", "secret"):
        (tmp_path / name).write_bytes(bytes(size))
    put = Put(tmp_path, exclusion=Exclusion.of(["*"]))
    source = Unreadable(os.open(tmp_path, os.O_RDONLY), "tree")
    put.root = put.of(source)
    source.close()
    assert put.names() == {"file"}
    assert put.skipped == {
        "gone": "tree/gone vanished while it was put",
        "secret": "cannot be read: Permission denied",
    }
    assert put.root.size_bytes == size


class Closed(TreeSource):
    """With a directory that may not be entered, which nothing is to the user who may do all."""

    def _open(self, path: tuple[str, ...], flags: int) -> int:
        if path and path[0] == "closed":
            raise unreadable(self.label(path), PermissionError(errno.EACCES, "Permission denied"))
        if path and path[0] == "full":
            raise unreadable(self.label(path), OSError(errno.EMFILE, "Too many open files"))
        return super()._open(path, flags)


def test_a_directory_that_may_not_be_read_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "closed" / "below").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"x")
    put = Put(tmp_path)
    source = Closed(os.open(tmp_path, os.O_RDONLY), "tree")
    put.root = put.of(source)
    source.close()
    assert put.names() == {"file"}
    assert put.skipped == {"closed": "cannot be read: Permission denied"}


def test_a_failure_of_our_own_is_no_entrys(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    put = Put(tmp_path)
    source = Closed(os.open(tmp_path, os.O_RDONLY), "tree")
    with pytest.raises(UsageError, match="Too many open files"):
        put.of(source)
    source.close()


def test_a_file_that_never_rests_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(bytes(CHUNK_SIZE_BYTES * 2))
    (tmp_path / "still").write_bytes(b"still")
    manner, store = Manner(strict=False), MemoryBlockStore()

    def grow(done_bytes: int) -> None:
        with (tmp_path / "log").open("ab") as file:
            file.write(b"more")

    source = TreeSource(os.open(tmp_path, os.O_RDONLY), "tree")
    disk = Disk(store, InlineBlocking())
    root = run(import_source(disk, source, UNIXFS_V1_2025, grow, manner=manner), VirtualLoop())
    source.close()
    assert [(each.path, each.why) for each in manner.skipped] == [
        ("log", "changed while it was read")
    ]
    assert root.size_bytes == len(b"still")


def test_a_directory_too_deep_is_skipped_with_all_in_it(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*"d" * (TREE_LEVELS_MAX + 3))
    deepest.mkdir(parents=True)
    (deepest / "file").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"y")
    put = Put(tmp_path)
    assert list(put.skipped) == ["/".join("d" * TREE_LEVELS_MAX)]
    assert "file" in put.names()


def test_a_file_too_large_to_lie_so_deep_is_skipped(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*"d" * (TREE_LEVELS_MAX - 1))
    deepest.mkdir(parents=True)
    (deepest / "small").write_bytes(b"x")
    with (deepest / "large").open("wb") as file:
        file.truncate(CHUNK_SIZE_BYTES * 1025)  # two levels of blocks
    put = Put(tmp_path)
    ((path, why),) = put.skipped.items()
    assert path.endswith("/large")
    assert "too large to lie so deep" in why
    assert any(name.endswith("/small") for name in put.names())


def test_so_many_are_named_and_all_are_counted(tmp_path: Path) -> None:
    for number in range(SKIPPED_NAMED_MAX + 5):
        (tmp_path / f"{number:05}").symlink_to("/nowhere")
    put = Put(tmp_path)
    assert put.manner.skipped_count == SKIPPED_NAMED_MAX + 5
    assert len(put.skipped) == SKIPPED_NAMED_MAX


def test_names_and_targets_that_are_no_text_come_back(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path)
    os.mkdir(raw + b"/\xff")
    Path(os.fsdecode(raw + b"/\xff/caf\xe9")).write_bytes(b"x")
    os.symlink(b"caf\xe9", raw + b"/\xff/link")
    put = Put(tmp_path)
    assert put.names() == {"\uf7ff", "\uf7ff/caf\uf7e9", "\uf7ff/link"}
    assert Symlink(("\uf7ff", "link"), "caf\uf7e9") in put.outputs()


# --- modes and times ------------------------------------------------------------------------


def test_modes_and_times_are_kept_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "small").write_bytes(b"x")
    (tmp_path / "d" / "large").write_bytes(bytes(CHUNK_SIZE_BYTES + 1))
    (tmp_path / "d" / "empty").write_bytes(b"")
    (tmp_path / "d" / "link").symlink_to("small")
    (tmp_path / "d" / "small").chmod(0o4755)
    (tmp_path / "d" / "large").chmod(0o600)
    for name in ("small", "large", "empty", "link", "."):
        os.utime(tmp_path / "d" / name, ns=(0, -1_500_000_000), follow_symlinks=False)
    (tmp_path / "d").chmod(0o1770)
    kept = Put(tmp_path, Manner(strict=False, preserve=True))
    told = {
        "/".join(each.path): (getattr(each, "mode", None), each.mtime)
        for each in kept.outputs()
        if isinstance(each, Directory | File | Symlink)
    }
    before_1970 = (-2, 500_000_000)
    assert told.pop("")[1] == divmod(tmp_path.stat().st_mtime_ns, 10**9)
    assert told.pop("d/empty")[1] == before_1970
    assert told == {
        "d": (0o1770, before_1970),
        "d/small": (0o4755, before_1970),
        "d/large": (0o600, before_1970),
        "d/link": (None, before_1970),
    }
    assert kept.root.size_bytes == Put(tmp_path).root.size_bytes
    assert Put(tmp_path, Manner(strict=False, preserve=True)).root == kept.root


def test_without_modes_and_times_nothing_depends_on_them(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    first = Put(tmp_path).root
    (tmp_path / "file").chmod(0o600)
    os.utime(tmp_path / "file", (0, 0))
    assert Put(tmp_path).root == first


@pytest.mark.parametrize("size", [0, 5, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 1])
def test_a_file_alone_keeps_its_mode_and_time_as_one_in_a_tree(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    tree = Put(tmp_path, Manner(preserve=True))
    source = FileSource(os.open(path, os.O_RDONLY), "file")
    disk = Disk(tree.store, InlineBlocking())
    alone = run(
        import_source(
            disk, source, UNIXFS_V1_2025, lambda done: None, manner=Manner(preserve=True)
        ),
        VirtualLoop(),
    )
    source.close()
    assert alone.cid in [link.cid for link in tree.node(tree.root.cid).links]
    assert tree.node(alone.cid).mtime == divmod(path.stat().st_mtime_ns, 10**9)


# --- several in one directory ---------------------------------------------------------------


def test_several_sources_are_the_entries_of_one_directory(tmp_path: Path) -> None:
    (tmp_path / "photos" / "summer").mkdir(parents=True)
    (tmp_path / "photos" / "summer" / "1.jpg").write_bytes(b"1")
    (tmp_path / "photos" / "pipe").symlink_to("/nowhere")
    (tmp_path / "report").write_bytes(b"report")
    put = Put(tmp_path)
    put.manner = Manner(strict=False)
    file = FileSource(os.open(tmp_path / "report", os.O_RDONLY), "report")
    tree = TreeSource(os.open(tmp_path / "photos", os.O_RDONLY), "photos")
    assert put.of(Wrapped({"photos": tree, "report": file})).cid == put.root.cid
    assert list(put.skipped) == ["photos/pipe"]
    file.close()
    tree.close()


def test_a_wrapping_directory_of_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    put = Put(tmp_path)
    file = FileSource(os.open(tmp_path / "file", os.O_RDONLY), "file")
    file.close()
    with pytest.raises(UnreadableSource, match="Bad file descriptor"):
        put.of(Wrapped({"file": file}))
