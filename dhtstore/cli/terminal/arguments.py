"""Arguments that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

_NAMED = "or the name of what was put or pinned here, or the beginning of its CID."

Content = Annotated[str, typer.Argument(metavar="CID[/PATH]", help=f"What: a CID, {_NAMED}")]
Root = Annotated[str, typer.Argument(metavar="CID", help=f"What, as a whole: a CID, {_NAMED}")]
