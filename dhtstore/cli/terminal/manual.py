"""The manual page, man(7), made of what the commands say of themselves in --help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from dhtstore.cli.exits import MEANINGS
from dhtstore.cli.terminal.parser import COMMON_NAMES, Command, argument_row, option_row

_ENVIRONMENT = (
    ("DHTSTORE_HOME", "The data directory, where --home does not name one."),
    (
        "DHTSTORE_<SETTING>",
        "A setting, as DHTSTORE_CAPACITY: before config.toml, after the flags of join.",
    ),
)
_FILES = (
    ("~/.local/share/dhtstore", "The data directory, where nothing else is said."),
    ("config.toml", "In the data directory: the settings; `dhtstore config` writes them."),
    ("node.key, owner.key", "In the data directory: who this node is, and who you are to holders."),
)


def manual(root: Any, version: str) -> str:
    """The page for the commands of ``root``, which is the whole command line."""
    context = root.make_context("dhtstore", [], resilient_parsing=True)
    parts = (_head(root, context, version), _commands(root, context), _tail())
    return "".join(f"{line}\n" for part in parts for line in part)


def _head(root: Any, context: Any, version: str) -> Iterator[str]:
    summary = root.help[:1].lower() + root.help[1:].rstrip(".")
    yield f'.TH DHTSTORE 1 "" "dhtstore {version}" "User Commands"'
    yield from (".SH NAME", f"dhtstore \\- {_text(summary)}")
    yield from (".SH SYNOPSIS", ".B dhtstore", "[OPTIONS] COMMAND ...")
    yield ".SH COMMON OPTIONS"
    yield "Each command takes those of them that do something for it, before its name or after it."
    common = [each for each in root.get_params(context) if each.name in COMMON_NAMES]
    yield from _rows([option_row(each) for each in common])


def _commands(group: Any, context: Any) -> Iterator[str]:
    yield ".SH COMMANDS"
    for name, command in group.commands.items():
        inner = type(context)(command, info_name=name, parent=context)
        if isinstance(command, Command):
            yield from _command(command, inner)
            continue
        for below, each in command.commands.items():
            yield from _command(each, type(context)(each, info_name=below, parent=inner))


def _command(command: Command, context: Any) -> Iterator[str]:
    params: list[Any] = list(command.get_params(context))
    arguments = [each for each in params if each.param_type_name == "argument"]
    usage = " ".join([context.command_path, "[OPTIONS]", *(each.metavar for each in arguments)])
    yield f".SS {_text(usage)}"
    yield from _paragraphs(command.help or "")
    yield from _rows([argument_row(each) for each in arguments if each.help])
    shared = command.about.common | {"help"}
    options = [each for each in params if each.param_type_name == "option"]
    yield from _rows([option_row(each) for each in options if each.name not in shared])
    taken = [each.opts[-1] for each in options if each.name in command.about.common]
    if taken:
        yield from (".PP", _text(f"Common options: {', '.join(taken)}."))
    yield from (".PP", "Examples:", ".PP", ".nf", ".RS", *map(_text, command.about.examples))
    yield from (".RE", ".fi")


def _tail() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    yield from _rows([(str(code), f"{meaning}.") for code, meaning in MEANINGS.items()])
    yield ".SH ENVIRONMENT"
    yield from _rows(_ENVIRONMENT)
    yield ".SH FILES"
    yield from _rows(_FILES)


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    for left, right in rows:
        yield from (".TP", f".B {_text(left)}", _text(right))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Nothing in it is a request, and what is to be typed stays ASCII."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    escaped = escaped.replace("~", "\\(ti").replace("^", "\\(ha").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
