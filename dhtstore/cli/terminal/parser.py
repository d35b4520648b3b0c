"""How command lines are read and explained: common options on either side of the command, help in
sections, and what is said of an option that a command does not have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from dhtstore.cli.terminal.as_typed import keep_typed
from dhtstore.cli.terminal.options import ALL

COMMON_NAMES: Final = frozenset(each.name for each in ALL)
_LEFT_MAX: Final = 26  # columns of options and arguments in help
_SUMMARY_MAX: Final = 65  # columns beside the longest name of a command


@dataclass(frozen=True, slots=True)
class About:
    """What help says of a command beside its options: ``common`` are the names of those that it
    shares with others."""

    common: frozenset[str]
    examples: tuple[str, ...]


class Command(TyperCommand):
    """A command whose help tells its own options from those that others have, too."""

    def get_params(self, ctx: Any) -> list[Any]:
        return keep_typed(super().get_params(ctx))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *self._arguments()]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        params: list[Any] = list(self.get_params(ctx))
        arguments = [each for each in params if each.param_type_name == "argument" and each.help]
        options = [each for each in params if each.param_type_name == "option"]
        shared = self.about.common | {"help"}
        _section(formatter, "Arguments", [argument_row(each) for each in arguments])
        own = [option_row(each) for each in options if each.name not in shared]
        _section(formatter, "Options", own)
        common = [option_row(each) for each in options if each.name in shared]
        _section(formatter, "Common options" if own else "Options", common)
        if self.about.examples:
            with formatter.section("Examples"):
                for example in self.about.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    @property
    def about(self) -> About:
        found: About = vars(self.callback)["about"]
        return found

    def _arguments(self) -> list[str]:
        return [str(each.metavar) for each in self.params if each.param_type_name == "argument"]


class CommandGroup(TyperGroup):
    """Commands below one word; common options may stand before the command: they count as if they
    stood right behind it."""

    def get_params(self, ctx: Any) -> list[Any]:
        return keep_typed(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        leading, rest = split_leading(args)
        if rest and not rest[0].startswith("-"):
            rest = [rest[0], *leading, *rest[1:]]
        return super().parse_args(ctx, rest)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] COMMAND ...")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        commands: dict[str, Any] = dict(self.commands)
        for name, command in commands.items():
            row = (name, command.get_short_help_str(_SUMMARY_MAX))
            sections.setdefault(str(command.rich_help_panel), []).append(row)
        for title, rows in sections.items():
            _section(formatter, title, rows)
        params: list[Any] = list(self.get_params(ctx))
        common = [option_row(each) for each in params if each.name in COMMON_NAMES]
        _section(formatter, "Common options, before or after the command", common)
        others = [each for each in params if each.name not in COMMON_NAMES and not each.hidden]
        _section(formatter, "Options", [option_row(each) for each in others])


def split_leading(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The common options that ``args`` begin with, and the rest."""
    at = 0
    while at < len(args):
        count = _words_of(args[at])
        if not count or at + count > len(args):
            break
        at += count
    return list(args[:at]), list(args[at:])


def _words_of(word: str) -> int:
    """How many words the common option that begins with ``word`` takes; 0 for anything else."""
    name, value, _ = word.partition("=")
    if name in _TAKES_VALUE:
        return 1 if value or not _TAKES_VALUE[name] else 2
    letters = word[1:] if word[:1] == "-" != word[1:2] else ""
    flags = [_TAKES_VALUE.get(f"-{letter}", True) is False for letter in letters]
    return 1 if flags and all(flags) else 0


def _spellings(parameters: Sequence[inspect.Parameter]) -> dict[str, bool]:
    """Each spelling of an option, and whether a value follows it."""
    found: dict[str, bool] = {}
    for each in parameters:
        kind, told = each.annotation.__origin__, each.annotation.__metadata__[0]
        found |= dict.fromkeys((told.default, *told.param_decls), kind is not bool)
    return {spelling: takes for spelling, takes in found.items() if isinstance(spelling, str)}


_TAKES_VALUE: Final[Mapping[str, bool]] = _spellings(ALL)


def _section(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=_LEFT_MAX)


def argument_row(param: Any) -> tuple[str, str]:
    """How help lists it: what is written, and what it means."""
    return str(param.metavar), _explained(param)


def option_row(param: Any) -> tuple[str, str]:
    """How help lists it: its spellings, and what it means."""
    spelled = ", ".join(sorted(param.opts, key=len))
    metavar = "" if param.is_flag else f" {param.metavar}"
    return f"{spelled}{metavar}", _explained(param)


def _explained(param: Any) -> str:
    default = param.show_default if isinstance(param.show_default, str) else ""
    return f"{param.help or ''}  [default: {default}]" if default else param.help or ""


def register(app: typer.Typer, commands: Mapping[str, Any], title: str = "Commands") -> None:
    """Give ``app`` these commands and groups, which its help lists below ``title``."""
    for name, run in commands.items():
        if isinstance(run, typer.Typer):
            app.add_typer(run, name=name, rich_help_panel=title)
        else:
            app.command(name, cls=Command, rich_help_panel=title)(run)


def shown_options(options: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """For a group: options that its help tells, of which nothing is left for it to do."""

    def nothing(**values: object) -> None:
        """What stands before a command is given to the command."""

    nothing.__doc__ = None  # the group has its own
    nothing.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    nothing.__annotations__ = {each.name: each.annotation for each in options}
    return nothing


# --- command lines that cannot be used -----------------------------------------------------------


def command_of(error: Any) -> str:
    """The command that a parser's error is about, as far as the parser got."""
    return str(getattr(getattr(error, "ctx", None), "command_path", "dhtstore"))


def hint_of(error: Any) -> str:
    """What to do about a parser's error."""
    command = command_of(error)
    if isinstance(getattr(getattr(error, "ctx", None), "command", None), CommandGroup):
        if getattr(error, "option_name", None):
            return f"options of a command stand behind it; see `{command} --help` for the others"
        return f"`{command} --help` lists the commands"
    return f"`{command} --help` says what it takes, with examples"


def problem_of(error: Any) -> str:
    """What a parser's error says, in our words where it is an option that is not there."""
    name = getattr(error, "option_name", None)
    if name is None or not hasattr(error, "possibilities"):
        return _too_few(error) or _plainly(str(error.format_message()))
    likely = " or ".join(sorted(error.possibilities or ()))
    meant = f"; did you mean {likely}?" if likely else ""
    return f"`{command_of(error)}` has no option {name}{meant}"


def _too_few(error: Any) -> str:
    """Where one of several arguments is missing: those behind it have taken what was given, so
    which one the parser misses says little; "" for any other error."""
    param: Any = getattr(error, "param", None)
    if not hasattr(error, "param_type") or getattr(param, "param_type_name", "") != "argument":
        return ""
    taken = [each for each in error.ctx.command.params if each.param_type_name == "argument"]
    if len(taken) < 2:
        return ""
    wanted = " ".join(str(each.metavar) for each in taken)
    return f"too few arguments: `{command_of(error)}` takes {wanted}"


def _plainly(text: str) -> str:
    """Without the parser's talk of inputs and errors of values."""
    plain = text.replace("Input should be", "it must be").replace("Value error, ", "")
    return plain.partition(", unable to parse string")[0]
