"""docs/json.md and docs/json: made from the types, about every command, with examples that hold."""

from __future__ import annotations

import json
import re
from typing import Any

import typer

from dhtstore.cli.main import app
from tests.schemas import generate
from tests.schemas.checking import valid
from tests.source_tree import forbid

AGAIN = "python -m tests.schemas.generate"


def test_the_schemas_are_those_of_the_types() -> None:
    made = generate.texts()
    files = {each.name: each.read_text(encoding="utf-8") for each in generate.DIRECTORY.iterdir()}
    assert files == made, AGAIN


def test_the_document_is_of_the_types() -> None:
    text = generate.DOCUMENT.read_text(encoding="utf-8")
    assert text == generate.document(text), AGAIN


def test_every_command_has_a_schema() -> None:
    told = {*generate.RESULTS, generate.CONFIG} - {"error", "status-cid"}
    assert {name for name, _ in _commands(typer.main.get_command(app))} == told


def test_every_command_takes_json() -> None:
    group = typer.main.get_command(app)
    forbid("commands without --json", [name for name, each in _commands(group) if not _json(each)])


def _json(command: Any) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def _commands(group: Any, before: str = "") -> list[tuple[str, Any]]:
    """By what their schemas are called; hidden ones are not for users."""
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += _commands(command, f"{before}{name}-")
        elif not command.hidden:
            found.append((before + name, command))
    return found


def test_the_examples_of_the_document_are_valid() -> None:
    text = generate.DOCUMENT.read_text(encoding="utf-8")
    examples = re.findall(r"<!-- ([a-z-]+) -->\n```json\n(.*?)```", text, re.DOTALL)
    assert {name for name, _ in examples} >= {"error", "put", "ls", "join"}
    for name, example in examples:
        valid(name, json.loads(example))
