"""peers: whom this node knows."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command


@command
def peers(common: Common) -> None:
    """List the nodes in the routing table: id, address, whether it stores for others."""
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json, print_table
    from dhtstore.operations.nodes import ListPeers

    rows = ask(common, ListPeers())
    if common.json:
        print_json(rows)
        return
    cells = [(row.node, row.address, "storage" if row.storage else "client") for row in rows]
    print_table(cells, ("node", "address", "role"))
