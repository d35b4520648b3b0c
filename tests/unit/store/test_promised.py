"""What nodes of one user have promised of one disk: seen while they run, and believed only as far
as nobody else can have written it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dhtstore.store.home.home import Home
from dhtstore.store.home.promised import promised_beside, promising, space_of
from dhtstore.store.space import Space

MB = 10**6


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "dhtstore" / "nodes"


def homes(tmp_path: Path) -> tuple[Home, Home]:
    return Home(tmp_path / "a"), Home(tmp_path / "b")


def test_others_see_what_is_promised_and_not_used_while_it_lasts(
    state: Path, tmp_path: Path
) -> None:
    one, other = homes(tmp_path)
    with promising(one, 5 * MB):
        assert promised_beside(other) == 5 * MB
        assert promised_beside(one) == 0
        one.blocks.mkdir()
        (one.blocks / "1.pack").write_bytes(bytes(2 * MB))
        assert promised_beside(other) == 3 * MB
        with promising(other, MB):
            assert promised_beside(one) == MB
    assert promised_beside(other) == 0
    assert list(state.iterdir()) == []


def test_what_a_node_that_was_killed_left_counts_for_nothing_and_goes(
    state: Path, tmp_path: Path
) -> None:
    one, other = homes(tmp_path)
    with promising(one, 5 * MB):
        [left] = [path.read_bytes() for path in state.iterdir()]
    (state / "f00").write_bytes(left)
    assert promised_beside(other) == 0
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 9000,
        b'{"blocks": 5, "capacity": 1}',
        b'{"blocks": "/no/such/place", "capacity": 1}',
        b'{"blocks": "a\\u0000b", "capacity": 1}',
        json.dumps({"blocks": "/proc", "capacity": 10**12}).encode(),  # another device
        json.dumps({"blocks": "/", "capacity": "9"}).encode(),
        b'{"capacity": 9' + b" " * 20_000 + b"}",
    ],
)
def test_a_file_that_says_nothing_counts_for_nothing(
    state: Path, tmp_path: Path, text: bytes
) -> None:
    one, other = homes(tmp_path)
    with promising(one, 5 * MB):
        [path] = state.iterdir()
        path.write_bytes(text)
        assert promised_beside(other) == 0


def test_what_others_could_have_written_counts_for_nothing(state: Path, tmp_path: Path) -> None:
    one, other = homes(tmp_path)
    with promising(one, 5 * MB):
        [path] = state.iterdir()
        path.chmod(0o666)
        assert promised_beside(other) == 0
        path.chmod(0o600)
        os.link(path, tmp_path / "second name")
        assert promised_beside(other) == 0
        (tmp_path / "second name").unlink()
        (state / "link").symlink_to(path)
        os.mkfifo(state / "pipe")
        assert promised_beside(other) == 5 * MB
        state.chmod(0o777)
        assert promised_beside(other) == 0


def test_without_a_place_for_it_everything_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = homes(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with promising(one, 5 * MB):
        assert promised_beside(other) == 0


def test_a_home_that_is_not_open_tells_its_room(state: Path, tmp_path: Path) -> None:
    one, other = homes(tmp_path)
    with promising(one, 5 * MB):
        space = space_of(other, MB)
        assert (space.capacity_bytes, space.used_bytes, space.beside_bytes) == (MB, 0, 5 * MB)


def test_more_is_promised_than_there_is() -> None:
    assert Space(10, 4, 0, 6).overpromised == ""
    assert Space(None, 4, 0, 0).overpromised == ""
    assert Space(10, 4, 2, 6).unbacked_bytes == 2  # what is set aside is not written yet
    told = Space(10 * MB, 4 * MB, 0, 6 * MB, beside_bytes=MB).overpromised
    assert "of which other nodes here have promised" in told
