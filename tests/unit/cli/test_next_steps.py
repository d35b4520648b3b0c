"""What a command says to do next can be done, and what it cannot do it says at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.cli.main import run

CID = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"


def _said(line: str, home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run([*line.split(), "--home", str(home)])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (("accept", "owners foo"), "cannot read owners from foo: name it by its whole path"),
        (("accept", "owners /nowhere/at/all"), "cannot read owners from /nowhere/at/all: No such"),
        (("accept", "owners {no_list}"), "line 1: 'not hex' is no public key"),
        (("listen", "203.0.113.9:80"), "203.0.113.9 is not an address of this machine"),
        (("listen", "[2001:db8::9]:80"), "2001:db8::9 is not an address of this machine"),
        (("capacity", "900PB"), "is more than there is"),
    ],
)
def test_a_setting_that_the_next_start_refuses_is_not_written(
    setting: tuple[str, str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_list = tmp_path / "list"
    no_list.write_text("not hex\n")
    key, value = setting
    home = tmp_path / "home"
    assert run(["config", key, value.format(no_list=no_list), "--home", str(home)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: nothing was written: {key}: ")
    assert why in told
    assert not (home / "config.toml").exists()


def test_a_setting_that_another_one_forbids_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is in the file was all right before, and still is."""
    home = tmp_path / "home"
    for line, code in (
        ("config capacity 100MB", 0),
        ("config donate 200MB", 2),
        ("config donate 50MB", 0),
        ("config capacity 20MB", 2),
    ):
        told = _said(line, home, capsys)
        assert told[0] == code, line
        if code:
            assert told[1].startswith("error: nothing was written: donate: more than the capacity")
    written = (home / "config.toml").read_text()
    assert written == "capacity = 100000000\ndonate = 50000000\n"


def test_settings_that_can_be_had_are_written(tmp_path: Path) -> None:
    keys, home = tmp_path / "list", str(tmp_path / "home")
    keys.write_text(f"{'ab' * 32}  # a friend\n")
    assert run(["config", "accept", f"owners {keys}", "--home", home]) == 0
    assert run(["config", "listen", "127.0.0.1:80", "--home", home]) == 0


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize(
    "line", ["list --check", f"pin add {CID}", "list", "status", "id", "verify"]
)
def test_seeds_are_no_next_step_for_what_takes_none(
    line: str, made: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    if made:
        home.mkdir()
    code, told = _said(line, home, capsys)
    assert code == 9
    assert "`dhtstore join`" in told
    assert "--seed" not in told


def test_seeds_are_a_next_step_for_what_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = _said(f"get {CID}", tmp_path / "home", capsys)
    assert (code, "--seed TICKET" in told) == (9, True)
