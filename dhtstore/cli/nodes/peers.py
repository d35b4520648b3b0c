"""peers: whom this node knows."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=(
        "dhtstore peers",
        "dhtstore peers --seed 192.0.2.7:7400",
    ),
)
def peers(common: Common) -> None:
    """List the nodes that this one knows: id, address, role.

    Those of the routing table.  The role is storage for a node that stores for others, else client.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import print_json, print_table
    from dhtstore.operations.nodes import ListPeers

    rows = ask(common, ListPeers())
    if common.json:
        print_json(rows)
        return
    cells = [(row.node, row.address, "storage" if row.storage else "client") for row in rows]
    print_table(cells, ("node", "address", "role"))
