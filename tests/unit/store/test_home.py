"""The data directory: keys are never lost, two nodes never share one, bad files are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dhtstore.errors import HomeInUse, HomeUnusable, LocalProtocolError
from dhtstore.model.identity import PublicKey
from dhtstore.store.home import home as home_module
from dhtstore.store.home.home import Home

SEED = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a" / "home")


def test_it_is_made_for_its_owner_only(home: Home) -> None:
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert Home(home.path).path == home.path


def test_an_empty_directory_made_by_hand_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert Home(tmp_path).path.stat().st_mode & 0o777 == 0o700


def test_one_with_other_things_in_it_stays_as_open_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "of others").touch()
    tmp_path.chmod(0o755)
    assert Home(tmp_path).path.stat().st_mode & 0o777 == 0o755


def test_a_key_is_made_once_and_kept(home: Home) -> None:
    assert home.key_seed("node", SEED) == SEED
    assert home.key_seed("node", bytes(32)) == SEED
    assert home.key_seed("owner", bytes(32)) == bytes(32)
    with pytest.raises(LocalProtocolError):
        home.key_seed("other", bytes(31))
    assert not (home.path / "other.key").exists()
    assert (home.path / "node.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.path.glob(".*")] == []


@pytest.mark.parametrize("content", ["", "header\n" + SEED.hex(), "\0\xff"])
def test_a_file_that_is_no_key_is_refused_and_kept(home: Home, content: str) -> None:
    path = home.path / "node.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(HomeUnusable, match=r"node\.key"):
        home.key_seed("node", SEED)
    assert path.read_text() == content


def test_a_cut_key_is_refused(home: Home) -> None:
    home.key_seed("node", SEED)
    path = home.path / "node.key"
    path.write_text(path.read_text()[:-5])
    with pytest.raises(HomeUnusable):
        home.key_seed("node", SEED)


def test_a_key_that_others_can_read_is_refused(home: Home) -> None:
    home.key_seed("node", SEED)
    (home.path / "node.key").chmod(0o644)
    with pytest.raises(HomeUnusable, match="chmod 600"):
        home.key_seed("node", SEED)


def test_the_lock_names_the_process_that_holds_it(home: Home) -> None:
    lock = home.lock()
    with pytest.raises(HomeInUse, match=f"process {os.getpid()}"):
        home.lock()
    lock.close()
    lock.close()
    home.lock().close()


def test_the_lock_ends_with_its_process(home: Home) -> None:
    code = "import sys; from pathlib import Path; from dhtstore.store.home.home import Home\n"
    code += "lock = Home(Path(sys.argv[1])).lock(); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(HomeInUse, match=f"process {child.pid}"):
            home.lock()
        child.kill()
        child.wait(timeout=10)
    home.lock().close()


def test_config_is_text_and_may_be_missing(home: Home) -> None:
    assert home.read_config() == ""
    home.write_config('network = "main"\n')
    assert home.read_config() == 'network = "main"\n'


def test_seeds_are_pinned(home: Home) -> None:
    assert home.trusted_seeds() == {}
    seeds = {"example.org:7401": PublicKey(SEED), "[::1]:7401": PublicKey(bytes(32))}
    home.save_trusted_seeds(seeds)
    assert home.trusted_seeds() == seeds


@pytest.mark.parametrize("text", ["nonsense\n", "a:1 abcd\n", "a:1 " + "zz" * 32])
def test_damaged_pins_are_an_error_not_a_fresh_start(home: Home, text: str) -> None:
    (home.path / "seeds").write_text(text)
    with pytest.raises(HomeUnusable):
        home.trusted_seeds()


def test_another_layout_is_refused(home: Home) -> None:
    (home.path / "version").write_text("999\n")
    with pytest.raises(HomeUnusable, match="layout '999'"):
        Home(home.path)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(HomeUnusable):
            Home(path)


def test_the_socket_is_in_the_home_where_its_path_fits(home: Home) -> None:
    assert home.socket_path == home.path / "control.sock" or len(str(home.path)) > 80


@pytest.mark.parametrize("runtime", [True, False])
def test_a_long_home_gets_a_short_socket_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: bool
) -> None:
    monkeypatch.setattr(home_module, "SHARED_TEMPORARY", tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    home, other = Home(tmp_path / ("d" * 100)), Home(tmp_path / ("e" * 100))
    assert home.socket_path != other.socket_path
    assert home.socket_path == Home(home.path).socket_path
    assert home.socket_path.name.startswith("dhtstore-")
    assert home.socket_path.parent.stat().st_mode & 0o077 == 0


def test_a_socket_directory_of_someone_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_module, "SHARED_TEMPORARY", tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / f"dhtstore-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(HomeUnusable, match="someone else"):
        _ = Home(tmp_path / ("d" * 100)).socket_path
