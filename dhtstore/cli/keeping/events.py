"""events: what happened to copies."""

from __future__ import annotations

from typing import Annotated

import typer

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import WAITING


@command(WAITING, examples=("dhtstore events", "dhtstore events --last 1000 --json"))
def events(
    common: Common,
    last: Annotated[
        int, typer.Option("--last", metavar="N", help="How many of them.", show_default="100")
    ] = 100,
) -> None:
    """Tell what happened to copies of what this node holds.

    lost: a holder was silent beyond its grace, or failed an audit, and was replaced; repaired: a
    copy was made from here; refused: nobody took one; dropped: the copy here was one too many.
    """
    from dhtstore.cli.running.errand import Errand
    from dhtstore.cli.running.session import run
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.operations.repairing import ListEvents

    found = run(common, Errand(ListEvents(last=last)))
    if common.json:
        print_json(found)
        return
    for each in found:
        node = f" ({each.node})" if each.node else ""
        emit(f"{each.time.rfc3339 or each.time.unix_s} {each.kind} {each.unit}{node}: {each.why}")
    if not found:
        emit("nothing happened to copies yet")
