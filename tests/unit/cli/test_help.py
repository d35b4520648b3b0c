"""What help says, and which options a command takes, as the real parser has it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from dhtstore.cli import main
from dhtstore.cli.terminal.options import ALL
from dhtstore.cli.terminal.parser import Command

COLUMNS = 80


def _commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, Command):
            yield " ".join((*words, name)), command
        else:
            yield from _commands(command, (*words, name))


ROOT: Any = typer.main.get_command(main.app)
COMMANDS = dict(_commands(ROOT))
EXAMPLES = [(name, text) for name, each in COMMANDS.items() for text in each.about.examples]


def _help(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main.run([*words.split(), "--help"]) == 0
    return capsys.readouterr().out


def _parsed(line: str) -> str:
    """The command that the one of ``line`` is, parsed and not run."""
    context: Any = ROOT.make_context("dhtstore", shlex.split(line)[1:])
    while not isinstance(context.command, Command):
        left = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)
    return str(context.command_path).removeprefix("dhtstore ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_fits_a_terminal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _help(name, capsys)
    assert f"Usage: dhtstore {name} [OPTIONS]" in told
    assert "\nExamples:\n  " in told
    assert max(map(len, told.splitlines())) <= COLUMNS


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples_can_be_typed(name: str, example: str) -> None:
    lines = [part.strip() for part in re.split(r"[|>]|&&", example)]
    ours = [line for line in lines if line.startswith("dhtstore ")]
    assert [_parsed(line) for line in ours] == [name]


@pytest.mark.parametrize("group", ["", "pin", "owner"])
def test_summaries_fit_their_line(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = _help(group, capsys)
    listed = told.partition("options:")[0].partition("\nOptions:")[0]
    assert [line for line in listed.splitlines() if line.endswith("...")] == [
        "Usage: dhtstore [OPTIONS] COMMAND ..."
        if not group
        else f"Usage: dhtstore {group} [OPTIONS] COMMAND ..."
    ]
    assert max(map(len, told.splitlines())) <= COLUMNS


def test_options_show_what_counts_if_they_are_not_given() -> None:
    silent = [
        f"{name} {param.opts[0]}"
        for name, command in COMMANDS.items()
        for param in command.params
        if param.param_type_name == "option"
        and not param.is_flag
        and not isinstance(param.show_default, str)
        and not param.multiple  # of which there are none then
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("version", "--home -q --timeout --seed --network --log-level"),
        ("demo", "--home --timeout --seed --network --log-level"),
        ("list", "--seed --network --log-level"),
        ("id", "--timeout --seed --network --log-level"),
        ("receipts", "--timeout --seed --network --log-level"),
        ("config", "--timeout --seed --network --log-level"),
        ("owner export", "--timeout --seed --network --log-level"),
        ("owner import", "--timeout --seed --network --log-level"),
        ("pin ls", "--timeout --seed --network --log-level"),
        ("pin rm", "--timeout --seed --network --log-level"),
        ("pin add", "--seed --network --log-level"),
        ("verify", "--seed --network --log-level"),
        ("join", "--timeout --seed"),
    ],
)
def test_options_that_do_nothing_are_not_offered(
    command: str, lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _help(command, capsys)
    assert [
        option for option in lacks.split() if re.search(rf"^  .*{option}\b.*  ", told, re.MULTILINE)
    ] == []
    assert main.run([*command.split(), lacks.split()[-1], "x"]) == 2
    assert f"has no option {lacks.split()[-1]}" in capsys.readouterr().err


def test_network_is_offered_where_a_node_is_started_only() -> None:
    for name, command in COMMANDS.items():
        options = {option for param in command.params for option in param.opts}
        assert ("--network" in options) == (name == "join" or "--seed" in options), name


# --- common options on either side ---------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "dhtstore --home A put f",
        "dhtstore --home=A put f",
        "dhtstore put --home A f",
        "dhtstore put f --home A",
        "dhtstore --home B put f --home A",
        "dhtstore --json -q --seed s --home A put f",
    ],
)
def test_common_options_work_before_and_after_the_command(line: str) -> None:
    assert _values(line)["home"] == "A"


def test_each_common_option_may_stand_first() -> None:
    line = "dhtstore --json -q --timeout 5s --seed a --network n --log-level info put f --seed b"
    values = _values(line)
    assert (values["json"], values["quiet"], values["timeout"]) == (True, True, "5s")
    assert (values["seed"], values["network"]) == (["a", "b"], "n")
    assert values["log_level"] == "info"
    assert {each.name for each in ALL} <= values.keys()


@pytest.mark.parametrize(
    "line", ["dhtstore --home A pin ls", "dhtstore pin --home A ls", "dhtstore pin ls --home A"]
)
def test_also_before_a_command_of_a_group(line: str) -> None:
    assert _values(line)["home"] == "A"


def test_what_the_command_does_not_take_is_refused_in_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["--seed", "x", "list"]) == 2
    assert "`dhtstore list` has no option --seed" in capsys.readouterr().err


def _values(line: str) -> dict[str, Any]:
    context: Any = ROOT.make_context("dhtstore", shlex.split(line)[1:])
    while not isinstance(context.command, Command):
        left = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)


# --- what is mistyped ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("gte bafy", "'get'"),
        ("verfy", "'verify'"),
        ("pin lst", "'ls'"),
        ("get --outptu x bafy", "--output"),
        ("put --replcas 3 f", "--replicas"),
        ("--hoem x list", "--home"),
    ],
)
def test_the_right_word_is_suggested(
    line: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(line.split()) == 2
    told = capsys.readouterr().err
    assert "did you mean" in told.lower()
    assert meant in told


def test_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["version"]) == 0
    command = capsys.readouterr().out
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == command


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["put", "--help"]) == main.run(["help", "put"]) == 0
    first, second = capsys.readouterr().out.split("Usage: ")[1:]
    assert first == second
