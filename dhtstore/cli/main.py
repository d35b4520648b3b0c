"""The dhtstore command: all commands in one table, and what an unusable command line says."""

from __future__ import annotations

import sys
from typing import Final

import typer

from dhtstore.cli.content import cat, get, ls, put, stat
from dhtstore.cli.demo import command as demo
from dhtstore.cli.exits import HELP, USAGE
from dhtstore.cli.home import config, owner, version
from dhtstore.cli.keeping import list_puts, pin, receipts, verify
from dhtstore.cli.nodes import identity, join, peers, ping, providers, status
from dhtstore.cli.terminal.common import complain
from dhtstore.cli.terminal.utf8 import use_utf8

app: Final = typer.Typer(
    name="dhtstore",
    help="A replicated content-addressed storage node that anyone can run.",
    epilog=HELP,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("join")(join.join)
app.command("put")(put.put)
app.command("get")(get.get)
app.command("list")(list_puts.list_puts)
app.command("cat")(cat.cat)
app.command("ls")(ls.ls)
app.command("stat")(stat.stat)
app.command("providers")(providers.providers)
app.command("receipts")(receipts.receipts)
app.command("status")(status.status)
app.command("peers")(peers.peers)
app.command("ping")(ping.ping)
app.command("id")(identity.identity)
app.add_typer(pin.app, name="pin")
app.command("verify")(verify.verify)
app.add_typer(owner.app, name="owner")
app.command("config")(config.config)
app.command("version")(version.version)
app.command("demo")(demo.demo)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    if sys.stdout is None or sys.stderr is None:
        sys.exit(USAGE)  # their numbers would be those of other files, which we must not write to
    use_utf8()
    sys.exit(run(sys.argv[1:] or ["--help"]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="dhtstore", standalone_mode=False)
    except Exception as error:
        # typer's parser has its own family of errors, whose home moved between its versions
        if not hasattr(error, "format_message"):
            raise
        _explain(error.format_message(), getattr(error, "ctx", None))
        return USAGE
    return code if isinstance(code, int) else 0


def _explain(message: str, context: object) -> None:
    """``context`` knows which command it was, where the parser got as far as that."""
    if message.startswith("Usage: "):  # a group without a command: its help says it all
        print(message, file=sys.stderr)
        return
    where = getattr(context, "command_path", "dhtstore")
    complain(message, f"see `{where} --help`")
