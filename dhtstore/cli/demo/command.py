"""demo: the promise of dhtstore, kept before your eyes by five real processes."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import JSON, QUIET


@command(
    (JSON, QUIET),
    examples=(
        "dhtstore demo",
        "dhtstore demo holiday.iso --json",
    ),
)
def demo(
    common: Common,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="What to store; default: 67 MB of noise.")
    ] = "",
) -> None:
    """See it work: five nodes, a put, two holders killed, a get.

    Five nodes start here; a file is put with three copies; two of its holders are killed; another
    node gets it back.  Everything happens on loopback in a temporary directory, which is removed at
    the end.  Exit code 0 only if the copy is identical.
    """
    from dhtstore.cli.demo.story import tell

    tell(common, file)
