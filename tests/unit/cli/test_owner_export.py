"""A private key in a file that others may read is told of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dhtstore.cli.main import run
from dhtstore.store.home.home import Home
from dhtstore.store.home.owner_key import save_owner_key


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_a_key_that_others_may_read(
    mode: int,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_owner_key(Home(tmp_path / "home"), b"k" * 32)
    file = tmp_path / "owner.txt"
    file.touch(mode)
    file.chmod(mode)
    with file.open("w") as out, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        assert run(["owner", "export", "-q", "--home", str(tmp_path / "home")]) == 0
    assert ("others may read" in capsys.readouterr().err) is warned
    assert file.read_text().strip()
