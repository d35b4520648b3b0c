from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dhtstore.errors import HomeInUse, HomeUnusable, UsageError
from dhtstore.store.home import Home, export_key, import_key, temporary_home

SEED = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "deep" / "home")
    home.prepare()
    return home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_sees_it(home: Home) -> None:
    home.key("node.key", SEED)
    assert mode(home.path) == 0o700
    assert mode(home.path / "node.key") == 0o600


def test_a_key_is_made_once(home: Home) -> None:
    assert home.key("node.key", SEED) == SEED
    assert home.key("node.key", bytes(32)) == SEED


def test_a_damaged_key_is_not_replaced(home: Home) -> None:
    home.write("node.key", export_key(SEED)[:-3])
    with pytest.raises(HomeUnusable, match=r"node\.key is damaged"):
        home.key("node.key", SEED)


def test_keys_as_text_notice_every_wrong_digit() -> None:
    text = export_key(SEED)
    assert import_key(f" {text}") == SEED
    for at in range(len(text) - 1):
        wrong = "0" if text[at] != "0" else "1"
        with pytest.raises(UsageError):
            import_key(text[:at] + wrong + text[at + 1 :])
    for junk in ("", "words", text.strip() + "00"):
        with pytest.raises(UsageError):
            import_key(junk)


def test_a_second_node_is_refused_and_told_the_first_ones_pid(home: Home) -> None:
    with home.locked(), pytest.raises(HomeInUse, match=rf"process {os.getpid()} "), home.locked():
        pass
    with home.locked():  # free again
        pass


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable):
        Home(tmp_path / "file" / "home").prepare()


def test_text_is_replaced_whole(home: Home) -> None:
    assert home.read("config.toml") == ""
    home.write("config.toml", "replicas = 2\n")
    home.write("config.toml", "replicas = 4\n")
    assert home.read("config.toml") == "replicas = 4\n"
    assert os.listdir(home.path) == ["config.toml"]


def test_a_file_that_cannot_be_read_or_written(home: Home) -> None:
    (home.path / "config.toml").mkdir()
    with pytest.raises(HomeUnusable):
        home.write("config.toml", "")


def test_free_space_is_known(home: Home) -> None:
    assert home.free_bytes() > 0


def test_a_temporary_home_is_removed() -> None:
    with temporary_home() as home:
        home.key("node.key", SEED)
        assert home.path.is_dir()
    assert not home.path.exists()
