"""join: run the node in the foreground."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import HOME, JSON, LOG_FORMAT, LOG_LEVEL, QUIET, option
from dhtstore.config import SETTINGS, Setting


def run_node(
    common: Common,
    /,
    seed: Annotated[
        list[str] | None, typer.Argument(metavar="[SEED]...", help="A ticket or HOST:PORT.")
    ] = None,
    **flags: object,
) -> None:
    """Run a node here until Ctrl-C.

    With a SEED it joins that network; with none it starts one, or rejoins the peers it knew.
    Prints one line on stdout once it serves: its ticket, for others to join through (with --json
    its addresses and keys too).  Exit code 4: no seed answered; 10: all of them refused.

    The flags of the first start are kept in config.toml of the data directory; a flag that is not
    given is what DHTSTORE_<NAME> in the environment says, else what config.toml says, else its
    default.
    """
    from dhtstore.cli.running.serve import serve

    serve(common, seed or (), flags)


def _flag(each: Setting) -> inspect.Parameter:
    told = typer.Option(
        each.flag, metavar=each.metavar, help=each.help, show_default=each.default_text
    )
    kind = list[str] | None if each.repeats else str | None
    return option(each.key, Annotated[kind, told], None)


join = command(
    (HOME, JSON, QUIET, LOG_LEVEL, LOG_FORMAT),
    examples=(
        "dhtstore join",
        "dhtstore join --listen 0.0.0.0:7402 --capacity 200GB dht1...",
        "dhtstore join --accept mine 192.0.2.7:7400",
    ),
    options=[_flag(each) for each in SETTINGS],
)(run_node)
