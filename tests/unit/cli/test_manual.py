"""The manual page is made of the help texts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from dhtstore.cli import main
from tests.source_tree import ROOT
from tests.unit.cli.test_help import COMMANDS

ESCAPES = {"\\-": "-", "\\(ga": "`", "\\(ti": "~", "\\(aq": "'"}
PAGE = ROOT / "docs" / "dhtstore.1"


def _printed(capsys: pytest.CaptureFixture[str]) -> str:
    assert main.run(["--man"]) == 0
    return capsys.readouterr().out


def test_the_page_in_docs_is_what_the_commands_say(capsys: pytest.CaptureFixture[str]) -> None:
    remedy = "python -m dhtstore --man > docs/dhtstore.1"
    assert PAGE.read_text(encoding="utf-8") == _printed(capsys), f"help has changed: {remedy}"


def test_it_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    page = _printed(capsys)
    for escape, char in ESCAPES.items():
        page = page.replace(escape, char)
    for name, command in COMMANDS.items():
        assert f".SS dhtstore {name} [OPTIONS]" in page
        for param in command.params:
            assert all(spelling in page for spelling in param.opts if spelling.startswith("-"))
        assert all(example in page for example in command.about.examples)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_troff_has_nothing_to_complain_of(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    ran = subprocess.run(words, input=_printed(capsys).encode(), capture_output=True, check=True)
    assert ran.stderr == b""
