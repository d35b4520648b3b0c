"""What is refused on this machine hints at what would help in that case."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dhtstore.cli import main

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what can be in the way, and no node."""
    monkeypatch.setenv("DHTSTORE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("broken").symlink_to("nowhere")
    Path("file").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        ("put /dev/null", "neither a file nor a directory", "dhtstore put -"),
        ("put fifo", "is a pipe", "dhtstore put -"),
        ("put broken", "symbolic link to nowhere", "should lead to"),
        ("put missing", "No such file", "check the path"),
        (f"get {CID} -o no/such/file", "cannot write into no/such", "make that directory"),
        (f"get {CID} -o file", "exists already", "--force"),
        (f"get {CID[:-1]}1", "'1' at place 59", "copy it whole"),
        (f"get {CID[:-2]}", "57 characters, 2 less", "copy it whole"),
        (f"stat {CID.replace('k', 'K')}", "mixes small and capital", "copy it whole"),
        (f"stat {CID} --network other", "--network says nothing without --seed", "give --seed"),
        (f"--log-level debug stat {CID}", "without --seed", "dhtstore join --log-level"),
        (f"stat {CID} --log-format json", "--log-format says nothing", "dhtstore join"),
        ("get something", "no node is running here", "dhtstore join"),
        ("config capcity", "no setting 'capcity'", "did you mean capacity?"),
        ("owner export", "no owner key", "dhtstore join"),
        ("owner import missing", "No such file or directory", "check the path"),
        ("owner import file", "not an exported key", "dhtstore owner export"),
        ("join --listen 203.0.113.1:0", "Cannot assign", "no such address"),
        ("join --listen 127.0.0.1:0 127.0.0.1:9", "Connection refused", "firewalls"),
    ],
)
def test_the_hint_fits(
    line: str, problem: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(line.split()) in (2, 4, 9)
    told = capsys.readouterr()
    assert told.out == ""
    assert problem in told.err.splitlines()[-2]
    assert hint in told.err.splitlines()[-1]
    assert "Errno" not in told.err
