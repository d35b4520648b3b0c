"""demo: the promise of dhtstore, kept before your eyes by five real processes."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command


@command
def demo(
    common: Common,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="What to store; default: 64 MiB of noise.")
    ] = "",
) -> None:
    """Start five nodes here, put a file with three copies, kill two of its holders, get it back.

    Everything happens on loopback in a temporary directory, which is removed at the end.  Exit
    code 0 only if the copy is identical.
    """
    from dhtstore.cli.demo.story import tell

    tell(common, file)
