"""The options that commands have in common.  Each command takes those that do something for it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Final

import typer

LOG_LEVELS: Final = ("error", "warning", "info", "debug")
DEFAULT_LOG_LEVEL: Final = "warning"
LOG_FORMATS: Final = ("text", "json")
Options = Sequence[inspect.Parameter]


def _levels(incomplete: str) -> list[str]:
    return [level for level in LOG_LEVELS if level.startswith(incomplete)]


def option(name: str, annotation: object, default: object) -> inspect.Parameter:
    """An option of a command, as typer reads it from a signature."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


_Home = Annotated[
    str,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Data directory.",
        show_default="$DHTSTORE_HOME, else ~/.local/share/dhtstore",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the data.")]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="RANGE",
        help="Only these bytes of a file: 1G-2G (2G is not in it), 1G+500M, 1G- or -1M.",
        show_default="all of it",
    ),
]
_Timeout = Annotated[
    str,
    typer.Option(
        "--timeout", metavar="TIME", help="Give up after, e.g. 30s or 5m.", show_default="never"
    ),
]
_Seeds = Annotated[
    list[str] | None,
    typer.Option(
        "--seed",
        metavar="TICKET|HOST:PORT",
        help="Work without a node of one's own, from here; may be given several times.",
    ),
]
_Network = Annotated[
    str,
    typer.Option(
        "--network",
        metavar="NAME",
        help="The network's name, for --seed.",
        show_default="that of the ticket, else of the data directory",
    ),
]
_LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help=f"What a node that is started for this logs: {', '.join(LOG_LEVELS)}.",
        show_default="warning",
        autocompletion=_levels,
    ),
]
_LogFormat = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="FORMAT",
        help=f"How it logs: {' or '.join(LOG_FORMATS)}, one object a line.",
        show_default="text",
    ),
]

CheckNow = Annotated[
    bool, typer.Option("--check", help="Ask the holders now whether they still have it.")
]

HOME: Final = option("home", _Home, "")
JSON: Final = option("json", _Json, False)
QUIET: Final = option("quiet", _Quiet, False)
TIMEOUT: Final = option("timeout", _Timeout, "")
SEED: Final = option("seed", _Seeds, None)
NETWORK: Final = option("network", _Network, "")
LOG_LEVEL: Final = option("log_level", _LogLevel, DEFAULT_LOG_LEVEL)
LOG_FORMAT: Final = option("log_format", _LogFormat, "text")

ALL: Final = (HOME, JSON, QUIET, TIMEOUT, SEED, NETWORK, LOG_LEVEL, LOG_FORMAT)

# What kinds of commands take.
ABOUT_HOME: Final = (HOME, JSON, QUIET)  # answered at once, from the data directory or its node
WAITING: Final = (*ABOUT_HOME, TIMEOUT)  # carried out by the node of the data directory, for long
# ... and that also without a node of one's own.
VISITING: Final = (*WAITING, SEED, NETWORK, LOG_LEVEL, LOG_FORMAT)
