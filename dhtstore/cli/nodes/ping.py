"""ping: is that node there?"""

from __future__ import annotations

from dhtstore.cli.naming.arguments import Node
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import VISITING


@command(
    VISITING,
    examples=(
        "dhtstore ping 192.0.2.7:7400",
        "dhtstore ping dht1...",
    ),
)
def ping(common: Common, node: Node) -> None:
    """Find a node and measure a round trip to it.

    Exit code 3 if nobody knows it, 4 if it does not answer.
    """
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import emit, print_json
    from dhtstore.operations.nodes import PingNode

    answer = ask(common, PingNode(target=node))
    if common.json:
        print_json(answer)
        return
    took = "this node itself" if answer.itself else f"{answer.rtt_ms:.1f} ms"
    emit(f"{answer.node} at {answer.address}: {took}")
