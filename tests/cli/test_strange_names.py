"""Names and words that come from elsewhere: none stops a command or drives a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dhtstore.cli.terminal.common import complain
from dhtstore.cli.terminal.show import print_table
from dhtstore.model.names import name_of
from tests.cli.conftest import Network
from tests.cli.terminal import run


def test_a_file_whose_name_is_not_utf8_is_put_under_a_name_that_stands_for_it(
    network: Network, tmp_path: Path
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    Path(path).write_bytes(b"content under a name from another age")
    ran = network.client.run("put", path)
    assert ran.code == 0, ran.err
    rows = network.client.run("list", "--json").json
    assert "caf\uf7e9" in [row["name"] for row in rows if row["cid"] == ran.last_line]


@pytest.mark.parametrize("what", ["add", "rm"])
def test_a_pin_is_of_a_whole_cid(network: Network, what: str) -> None:
    cid = network.client.put(b"pinned as a whole")
    ran = run("pin", what, "--home", network.client.home, f"{cid}/part")
    assert ran.code == 2
    assert "part" in ran.err


def test_what_a_peer_said_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain("refused: \x1b[2Jbye\n$ ", "a hint", {"node": "busy\r\x07"})
    told = capsys.readouterr().err
    assert told == "error: refused: \\x1b[2Jbye\\x0a$ \n  node: busy\\x0d\\x07\nhint: a hint\n"


def test_a_table_keeps_the_spaces_a_name_ends_in(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("1", "ends in a space "), ("23", "b")], ("size", "name"))
    assert capsys.readouterr().out == "1   ends in a space \n23  b\n"


@pytest.mark.parametrize("spelled", [os.fsdecode, name_of], ids=["argument", "name"])
def test_a_byte_that_is_no_text_is_shown(
    spelled: Callable[[bytes], str], capsys: pytest.CaptureFixture[str]
) -> None:
    complain(f"no {spelled(b'caf' + bytes((0xE9,)))}", "a hint")
    assert capsys.readouterr().err == "error: no caf\\xe9\nhint: a hint\n"
