"""The dhtstore command: all commands in one table, and what an unusable command line says."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Final

import typer

from dhtstore.cli.cars import export, import_car
from dhtstore.cli.content import cat, get, ls, put, stat
from dhtstore.cli.demo import command as demo
from dhtstore.cli.exits import HELP, INTERRUPTED, USAGE
from dhtstore.cli.home import config, owner, version
from dhtstore.cli.keeping import (
    collect,
    events,
    leave,
    list_puts,
    pin,
    policy,
    receipts,
    remove,
    repair,
    verify,
    why,
)
from dhtstore.cli.nodes import identity, join, peers, ping, providers, status
from dhtstore.cli.terminal.common import say_failure
from dhtstore.cli.terminal.options import ALL, option
from dhtstore.cli.terminal.parser import (
    CommandGroup,
    hint_of,
    problem_of,
    register,
    shown_options,
)
from dhtstore.cli.terminal.utf8 import use_utf8

_STDERR: Final = 2
SECTIONS: Final[dict[str, dict[str, Any]]] = {
    "Run a node": {
        "join": join.join,
        "status": status.status,
        "peers": peers.peers,
        "ping": ping.ping,
        "id": identity.identity,
    },
    "Store and fetch": {
        "put": put.put,
        "get": get.get,
        "cat": cat.cat,
        "ls": ls.ls,
        "stat": stat.stat,
        "export": export.export,
        "import": import_car.import_car,
    },
    "What you stored": {
        "list": list_puts.list_puts,
        "providers": providers.providers,
        "receipts": receipts.receipts,
        "policy": policy.policy,
        "rm": remove.remove,
    },
    "What is kept here": {
        "pin": pin.app,
        "why": why.why,
        "repair": repair.repair,
        "leave": leave.leave,
        "events": events.events,
        "gc": collect.collect,
        "verify": verify.verify,
    },
    "Settings and keys": {"config": config.config, "owner": owner.app},
    "More": {"demo": demo.demo, "version": version.version},
}


def _version(wanted: bool) -> None:
    if wanted:
        version.version(json=False)
        raise typer.Exit


def _manual(wanted: bool) -> None:
    if wanted:
        from dhtstore import __version__
        from dhtstore.cli.terminal.manual import manual

        sys.stdout.write(manual(typer.main.get_command(app), __version__))
        raise typer.Exit


_MANUAL: Final = option(
    "man",
    Annotated[
        bool, typer.Option("--man", is_eager=True, callback=_manual, hidden=True, help="For man.")
    ],
    False,
)
_VERSION: Final = option(
    "version",
    Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_version, help="Print the version and exit."
        ),
    ],
    False,
)


def _made() -> typer.Typer:
    made = typer.Typer(
        name="dhtstore",
        cls=CommandGroup,
        help="A replicated content-addressed storage node that anyone can run.",
        epilog=HELP,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(shown_options([*ALL, _VERSION, _MANUAL]))
    for title, commands in SECTIONS.items():
        register(made, commands, title)
    return made


app: Final = _made()


def main() -> None:
    """Run the command line of this process and exit with its code."""
    if sys.stderr is None and os.open(os.devnull, os.O_WRONLY) == _STDERR:
        sys.stderr = os.fdopen(_STDERR, "w", encoding="utf-8")
    if sys.stdout is None or sys.stderr is None:
        sys.exit(USAGE)  # their numbers would be those of other files, which we must not write to
    use_utf8()
    sys.exit(run(sys.argv[1:] or ["--help"]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code.  ``help COMMAND`` is ``COMMAND --help``."""
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="dhtstore", standalone_mode=False)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # which its parser makes its own of
            return INTERRUPTED
        # typer's parser has its own family of errors, whose home moved between its versions
        if not hasattr(error, "format_message"):
            raise
        _explain(error, _wants_json(arguments))
        return USAGE
    return code if isinstance(code, int) else 0


def _wants_json(arguments: list[str]) -> bool:
    """Of a command line that cannot be parsed as a whole."""
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


def _explain(error: Any, as_json: bool) -> None:
    """Its context knows which command it was, where the parser got as far as that."""
    message = problem_of(error)
    if message.startswith("Usage: "):  # a group without a command: its help says it all
        if not as_json:
            print(message, file=sys.stderr)
            return
        message = "no command was given"
    hint = hint_of(error)
    say_failure("UsageError", message, hint, USAGE, as_json=as_json)
