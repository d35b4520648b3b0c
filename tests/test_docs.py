"""What the documents say exists, exists."""

from __future__ import annotations

import re

import typer

from benchmarks.hostile.attacks import ALL_ATTACKS
from dhtstore import params
from dhtstore.cli.exits import DONE, EXITS, INTERRUPTED, UNEXPECTED
from dhtstore.cli.main import app
from tests.source_tree import ROOT, forbid

THREATS = "docs/threat-model.md"
DOCUMENTS = ("README.md", "docs/architecture.md", "docs/protocol.md", THREATS)
PLACES = ("", "dhtstore/")
FIGURES_MIN = 20  # of the threat model: a table without any would pass unseen


def test_named_files_exist() -> None:
    forbid("files that are named but not there", [row for name in DOCUMENTS for row in _lost(name)])


def test_figures_of_the_threat_model_are_constants() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9_]*)`", _text(THREATS)))
    forbid("figures that are no constants of params.py", named - vars(params).keys())
    assert len(named) > FIGURES_MIN


def test_tests_and_attacks_of_the_threat_model_exist() -> None:
    text = _text(THREATS)
    tests = set(re.findall(r"\b(tests/[\w/]+\.py)\b", text))
    words = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", text))
    lost = {name for name in tests if not (ROOT / name).exists()}
    strange = {word for word in words if "-" in word} - ALL_ATTACKS.keys()
    forbid("tests and attacks that are named but not there", lost | strange)
    forbid("attacks that the threat model does not name", ALL_ATTACKS.keys() - words)


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


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def _lost(document: str) -> list[str]:
    text = _text(document)
    named = set(re.findall(r"`([\w./]+\.py)`", text))
    return [
        f"{document}: {name}"
        for name in sorted(named)
        if not any((ROOT / place / name).exists() for place in PLACES)
    ]
