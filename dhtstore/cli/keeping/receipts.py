"""receipts: the holders' signed word."""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Root
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME


@command(
    ABOUT_HOME,
    examples=("dhtstore receipts bafybei...",),
)
def receipts(common: Common, cid: Root) -> None:
    """Show and verify the receipts for something put from here.

    That needs no network.  Exit code 3 if there are none, 5 if a signature does not hold.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import moment, print_json, print_table
    from dhtstore.model.cid_path import as_one_spelling
    from dhtstore.operations.keeping import ListReceipts

    rows = ask(common, ListReceipts(root=as_one_spelling(cid)))
    if common.json:
        print_json(rows)
        return
    cells = [
        (row.node, row.unit, row.blocks, row.size, moment(row.time), "verified") for row in rows
    ]
    print_table(cells, ("node", "unit", "blocks", "bytes", "signed", "signature"))
