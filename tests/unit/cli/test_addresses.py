"""Addresses of IPFS that name no content here are told what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.cli.main import run

CID = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        ("/ipns/foo", "IPNS is not supported", "give the CID"),
        ("ipns://foo", "IPNS is not supported", "give the CID"),
        ("/ipfs/", "there is no CID in '/ipfs/'", "write CID, CID/path"),
        ("/ipfs", "there is no CID in '/ipfs'", "write CID, CID/path"),
        ("/", "there is no CID in '/'", "write CID, CID/path"),
        (f"https://ipfs.io/ipfs/{CID}/a", "gateway", f"gateway address: {CID}/a"),
    ],
)
def test_the_hint_says_what_to_write(
    given: str, problem: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["get", given, "--home", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert hint in told.splitlines()[-1]
    assert "did you mean" not in told
