"""providers: who holds it."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Content
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=("dhtstore providers bafybei...",),
)
def providers(common: Common, cid: Content) -> None:
    """Ask the network who provides something.

    Exit code 3 if nobody does.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import moment, print_json, print_table
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.content import FindProviders

    rows = ask(common, FindProviders(target=as_one_spelling(cid)))
    if common.json:
        print_json(rows)
        return
    cells = [(row.node, row.addresses, f"until {moment(row.expires)}") for row in rows]
    print_table(cells, ("node", "addresses", "record"))
