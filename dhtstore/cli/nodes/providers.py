"""providers: who holds it."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING, CheckNow


@command(
    VISITING,
    examples=(
        "dhtstore providers bafybei...",
        "dhtstore providers bafybei... --check",
    ),
)
def providers(common: Common, cid: Content, check: CheckNow = False) -> None:
    """Ask the network who provides something.

    Exit code 3 if nobody does; with --check 4 if none of them has it now.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import moment, print_json, print_table
    from dhtstore.errors import Unreachable
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import FindProviders

    rows = ask(common, FindProviders(target=as_one_spelling(cid), check=check))
    if common.json:
        print_json(rows)
    else:
        cells = [
            (row.node, row.addresses, f"until {moment(row.expires)}", row.state, row.why)
            for row in rows
        ]
        print_table(cells, ("node", "addresses", "record", "state", "why"))
    if check and not any(row.state == "live" for row in rows):
        raise Unreachable("none of those who provide it has it now")
