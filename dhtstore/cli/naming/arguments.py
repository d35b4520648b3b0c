"""Arguments that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.naming import completing

_NAMED = "or the name of what was put or pinned here, or the beginning of its CID."

Content = Annotated[
    str,
    typer.Argument(
        metavar="CID[/PATH]",
        help=f"What: a CID, {_NAMED}",
        autocompletion=completing.contents,
    ),
]
Root = Annotated[
    str,
    typer.Argument(
        metavar="CID", help=f"What, as a whole: a CID, {_NAMED}", autocompletion=completing.contents
    ),
]
Roots = Annotated[
    list[str],
    typer.Argument(
        metavar="CID...",
        help=f"What, as wholes: CIDs, {_NAMED}",
        autocompletion=completing.contents,
    ),
]
Pinned = Annotated[
    str,
    typer.Argument(
        metavar="NAME|CID",
        help="What was pinned by hand: its name, its CID or the beginning of that.",
        autocompletion=completing.pins_by_hand,
    ),
]
Put = Annotated[
    str,
    typer.Argument(
        metavar="NAME|CID",
        help="What was put from here: its name, its CID or the beginning of that.",
        autocompletion=completing.puts,
    ),
]
Anything = Annotated[
    str,
    typer.Argument(
        metavar="[CID]",
        help=f"A CID, {_NAMED}",
        show_default="this node",
        autocompletion=completing.contents,
    ),
]
Node = Annotated[
    str,
    typer.Argument(
        metavar="NODE",
        help="Its id or the beginning of it, public key, ticket or HOST:PORT.",
        autocompletion=completing.nodes,
    ),
]
