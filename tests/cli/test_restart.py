"""What a node still knows when it had no time to stop."""

from __future__ import annotations

from tests.cli.terminal import Daemons


def test_a_node_killed_right_after_it_joined_finds_its_network_again(daemons: Daemons) -> None:
    seed = daemons("seed")
    node = daemons("node", seed.ticket)
    node.kill()
    again = daemons("node")
    assert seed.node in [row["node"] for row in again.run("peers", "--json").json]
