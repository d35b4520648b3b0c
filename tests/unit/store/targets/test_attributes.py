"""Mode and time of modification: given where the DAG tells them, and when nothing is left to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.content.dag.walk import Directory, File, Output, Piece, Symlink
from dhtstore.errors import TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.files.attributes import Attributes, LateAttributes
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.tree_output import TreeOutput

ROOT = Cid.of(b"root")
LONG_AGO = (1_000_000_000, 123_456_789)
NOBODY = 65534


@pytest.fixture
def place() -> Iterator[tuple[Path, int]]:
    """A directory of a user whom permissions bind, and that directory open."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Path(name), fd
        finally:
            os.close(fd)
            if root:
                os.seteuid(0)


def file(path: tuple[str, ...], data: bytes, mode: int | None = None) -> list[Output]:
    return [File(path, len(data), mode, LONG_AGO), Piece(path, 0, data)]


LOCKED: list[Output] = [
    Directory((), 0o500, LONG_AGO),
    Directory(("d",), 0o555, LONG_AGO),
    *file(("d", "secret"), b"aaa", 0o400),
    *file(("d", "unreadable"), b"bbb", 0),
    Directory(("d", "closed"), 0, LONG_AGO),
    *file(("d", "closed", "in"), b"ccc", 0o4711),
    Symlink(("l",), "d", LONG_AGO),
]


def attributes(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_mode & 0o7777, status.st_mtime_ns


def test_a_file_gets_its_mode_and_time(place: tuple[Path, int]) -> None:
    path, fd = place
    output = FileOutput(fd, "f", ROOT)
    output.accept(file((), b"aaa", 0o6555))
    output.finish()
    assert attributes(path / "f") == (0o555, 1_000_000_000_123_456_789)


def test_a_tree_that_lets_nobody_in_can_be_got(place: tuple[Path, int]) -> None:
    path, fd = place
    output = TreeOutput(fd, "t", ROOT)
    output.accept(LOCKED)
    output.finish()
    check_and_open(path / "t")


def check_and_open(tree: Path) -> None:
    time = 1_000_000_000_123_456_789
    assert attributes(tree) == (0o500, time)
    assert attributes(tree / "l") == (0o777, time)
    assert attributes(tree / "d") == (0o555, time)
    assert attributes(tree / "d" / "secret") == (0o400, time)
    assert attributes(tree / "d" / "unreadable") == (0, time)
    assert attributes(tree / "d" / "closed") == (0, time)
    (tree / "d" / "closed").chmod(0o700)
    assert attributes(tree / "d" / "closed" / "in") == (0o711, time)
    for each in (tree, tree / "d", tree / "d" / "unreadable"):
        each.chmod(0o700)


def test_a_get_goes_on_where_modes_were_given_already(place: tuple[Path, int]) -> None:
    """As of a run that ended when all was there, and before it had its name."""
    path, fd = place
    first = TreeOutput(fd, "t", ROOT)
    first.accept(LOCKED)
    (path / "t").mkdir()
    with pytest.raises(TargetUnusable, match="meanwhile"):
        first.finish()
    first.close()
    assert attributes(path / "t.part" / "d")[0] == 0o555
    (path / "t").rmdir()
    second = TreeOutput(fd, "t", ROOT)
    second.accept(LOCKED)
    second.finish()
    check_and_open(path / "t")


def test_a_file_goes_on_that_its_owner_may_not_read(place: tuple[Path, int]) -> None:
    path, fd = place
    first = FileOutput(fd, "f", ROOT)
    first.accept(file((), b"aaa", 0))
    (path / "f").touch()
    with pytest.raises(TargetUnusable, match="meanwhile"):
        first.finish()
    first.close()
    (path / "f").unlink()
    second = FileOutput(fd, "f", ROOT)
    second.accept(file((), b"aaa", 0))
    second.finish()
    assert attributes(path / "f")[0] == 0


def test_a_partial_of_another_root_goes_with_all_that_is_closed_in_it(
    place: tuple[Path, int],
) -> None:
    path, fd = place
    first = TreeOutput(fd, "t", ROOT)
    first.accept(LOCKED)
    first.close()
    (path / "t.part" / "d").chmod(0o100)
    second = TreeOutput(fd, "t", Cid.of(b"other"))
    second.accept([Directory(()), *file(("a",), b"a")])
    second.finish()
    assert os.listdir(path / "t") == ["a"]


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), -1, 2**40])
def test_no_time_is_too_strange(place: tuple[Path, int], seconds: int) -> None:
    path, fd = place
    time = (seconds, 999_999_999)
    output = TreeOutput(fd, "t", ROOT)
    output.accept([Directory((), None, time), Directory(("d",), None, time)])
    output.accept([File(("f",), 0, None, time), Symlink(("l",), "f", time)])
    output.finish()
    assert sorted(os.listdir(path / "t")) == ["d", "f", "l"]


def test_what_is_late_comes_back_last_first_however_much_it_is() -> None:
    late = LateAttributes()
    given: list[tuple[tuple[str, ...], Attributes]]
    given = [((f"d{n}", "e" * 200), Attributes(n % 512, (n, n))) for n in range(10_000)]
    given += [(("x",), Attributes(None, LONG_AGO)), (("\uf7e9",), Attributes(0, None))]
    for path, attributes_ in given:
        late.add(path, attributes_)
    late.add(("untold",), Attributes(None, None))
    assert list(late.last_first()) == given[::-1]
    late.close()
