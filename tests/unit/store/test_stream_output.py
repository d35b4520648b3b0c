"""A stream into a file: its name when it is whole, and nothing before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhtstore.errors import TargetExists, TargetUnusable
from dhtstore.store.files.stream_output import StreamOutput


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_it_has_its_name_once_it_is_finished(folder: int, tmp_path: Path) -> None:
    with StreamOutput(folder, "x.car") as output:
        os.write(output.descriptor, b"data")
        assert "x.car" not in names(tmp_path)
        output.finish()
    assert names(tmp_path) == ["x.car"]
    assert (tmp_path / "x.car").read_bytes() == b"data"


def test_left_before_that_nothing_stays(folder: int, tmp_path: Path) -> None:
    (tmp_path / "x.car").write_bytes(b"before")
    with pytest.raises(TargetExists):
        StreamOutput(folder, "x.car")
    with StreamOutput(folder, "x.car", force=True) as output:
        os.write(output.descriptor, b"data")
    assert names(tmp_path) == ["x.car"]
    assert (tmp_path / "x.car").read_bytes() == b"before"


def test_what_a_killed_run_left_is_begun_anew(folder: int, tmp_path: Path) -> None:
    killed = StreamOutput(folder, "x.car")
    os.write(killed.descriptor, b"more than will come")
    os.close(killed.descriptor)
    killed._partial.journal.close()
    assert names(tmp_path) == ["x.car.part", "x.car.part.map"]
    with StreamOutput(folder, "x.car") as output:
        os.write(output.descriptor, b"data")
        output.finish()
    assert names(tmp_path) == ["x.car"]
    assert (tmp_path / "x.car").read_bytes() == b"data"


def test_a_file_of_others_beside_it_stays(folder: int, tmp_path: Path) -> None:
    (tmp_path / "x.car.part").write_bytes(b"mine")
    with pytest.raises(TargetExists):
        StreamOutput(folder, "x.car")
    assert names(tmp_path) == ["x.car.part"]
    (tmp_path / "y.car").mkdir()
    with pytest.raises(TargetUnusable):
        StreamOutput(folder, "y.car", force=True)
