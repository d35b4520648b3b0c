"""id: who this node is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.model.identity import format_node
from dhtstore.operations.nodes import NodeIdentity
from dhtstore.wire.ticket import Ticket

if TYPE_CHECKING:
    from dhtstore.node.node import Node


def identity(node: Node) -> NodeIdentity:
    addresses = node.addresses()
    return NodeIdentity(
        node=format_node(node.node_id),
        public_key=node.public_key.hex(),
        owner=node.ports.crypto.owner.public_key.hex(),
        network=node.settings.network.name,
        addresses=[str(address) for address in addresses],
        ticket=str(Ticket(node.settings.network.name, node.public_key, addresses)),
    )
