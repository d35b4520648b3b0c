"""What the documents say exists, exists."""

from __future__ import annotations

import re

import typer

from dhtstore.cli.exits import DONE, EXITS, INTERRUPTED, UNEXPECTED
from dhtstore.cli.main import app
from tests.source_tree import ROOT, forbid

DOCUMENTS = ("README.md", "docs/architecture.md", "docs/protocol.md")
PLACES = ("", "dhtstore/")


def test_named_files_exist() -> None:
    forbid("files that are named but not there", [row for name in DOCUMENTS for row in _lost(name)])


def test_readme_lists_exactly_the_exit_codes() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \| ", readme, re.MULTILINE)}
    assert listed == {DONE, UNEXPECTED, INTERRUPTED} | {code for _, code in EXITS}


def test_readme_lists_exactly_the_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Commands")[2].partition("\n## ")[0]
    cells = [row.split(" | ")[0] for row in table.splitlines() if row.startswith("| `")]
    listed = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert listed == set(getattr(typer.main.get_command(app), "commands", {}))


def _lost(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+\.py)`", text))
    return [
        f"{document}: {name}"
        for name in sorted(named)
        if not any((ROOT / place / name).exists() for place in PLACES)
    ]
