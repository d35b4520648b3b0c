"""Rows that are printed as they come: what is on the screen after each of them, and at the end."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.rows import rows_out
from dhtstore.operations.content import DirectoryEntry

COMMON = Common(
    home="", json=False, quiet=False, timeout="", seeds=(), network="", log_level="", log_format=""
)
ROWS = [DirectoryEntry(name, "cid", "file", size) for name, size in (("a", 1), ("b", 12345))]
WIDTHS = ("cid  1  file  a\n", "cid  12345  file  b\n")


def cells(row: DirectoryEntry) -> tuple[object, ...]:
    return row.cid, row.size, row.type, row.name


def test_a_table_is_printed_row_by_row(capsys: pytest.CaptureFixture[str]) -> None:
    out = rows_out(COMMON, ("cid", "size", "type", "name"), cells)
    for row, line in zip(ROWS, WIDTHS, strict=True):
        out.add([row])
        assert capsys.readouterr().out == line
    out.end()
    assert capsys.readouterr().out == ""


def test_columns_are_aligned_with_all_that_is_printed_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows_out(COMMON, ("cid", "size", "type", "name"), cells).add(ROWS)
    assert capsys.readouterr().out == "cid  1      file  a\ncid  12345  file  b\n"


def test_letters_of_two_columns_are_counted_as_two(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("日本語", "e\u0301", "plain")
    out = rows_out(COMMON, ("name", "cid"), lambda name: (name, "cid"))
    out.add(names)
    assert capsys.readouterr().out == "日本語  cid\ne\u0301       cid\nplain   cid\n"


def test_what_a_stranger_named_does_not_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange = DirectoryEntry("\x1b[2J", "cid", "directory", None)
    rows_out(COMMON, ("cid", "size", "type", "name"), cells).add([*ROWS, strange])
    assert capsys.readouterr().out.splitlines()[-1] == "cid  -      directory  \\x1b[2J"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_one_array_however_it_came(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    out = rows_out(replace(COMMON, json=True), ("name",), cells)
    for row in ROWS[:count]:
        out.add([row])
    out.end()
    printed = capsys.readouterr().out
    assert [row["name"] for row in json.loads(printed)] == ["a", "b"][:count]
    assert printed.count("\n") == (count + 2 if count else 1)  # a line each


@pytest.mark.parametrize(("terminal", "said"), [(True, "nothing\n"), (False, "")])
def test_that_a_list_is_empty_is_said_at_a_terminal_only(
    terminal: bool, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    rows_out(COMMON, ("cid", "size", "type", "name"), cells, "nothing").end()
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", said)
    out = rows_out(COMMON, ("cid", "size", "type", "name"), cells, "nothing")
    out.add(ROWS)
    out.end()
    assert "nothing" not in capsys.readouterr().err
