"""join: run the node in the foreground."""

from __future__ import annotations

import inspect
from typing import Annotated, Final

import typer

from dhtstore.cli.terminal.common import Common, command, option
from dhtstore.config import SETTINGS, Setting

_NETWORK: Final = "network"  # an option of every command


def run_node(
    common: Common,
    /,
    seed: Annotated[
        list[str] | None, typer.Argument(metavar="[SEED]...", help="A ticket or HOST:PORT.")
    ] = None,
    **flags: object,
) -> None:
    """Run a node here until Ctrl-C: start a network, or join one through SEED.

    Prints one line on stdout once it serves: its ticket, for others to join through.  The flags
    of the first start are kept in config.toml of the data directory.
    """
    from dhtstore.cli.running.serve import serve

    serve(common, seed or (), {**flags, _NETWORK: common.network})


def _flag(each: Setting) -> inspect.Parameter:
    told = typer.Option(each.flag, metavar=each.metavar, help=each.help)
    kind = list[str] | None if each.repeats else str | None
    return option(each.key, Annotated[kind, told], None)


join = command(run_node, options=[_flag(each) for each in SETTINGS if each.key != _NETWORK])
