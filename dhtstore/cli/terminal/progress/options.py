"""The options of commands that take a while."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shown(StrEnum):
    AUTO = "auto"
    BAR = "bar"
    PLAIN = "plain"
    NONE = "none"


Showing = Annotated[
    Shown,
    typer.Option(
        "--progress",
        metavar="HOW",
        help="auto (a bar on a terminal), bar, plain (a line every few seconds) or none.",
        show_default="auto",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show each holder's bytes and rate, too.")
]
