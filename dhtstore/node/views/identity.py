"""id: who this node is."""

from __future__ import annotations

from dhtstore.model.identity import format_node
from dhtstore.node.identity import Identity
from dhtstore.operations.nodes import NodeIdentity
from dhtstore.wire.ticket import Ticket


def node_identity(identity: Identity) -> NodeIdentity:
    """Its addresses are known once its sockets are open."""
    addresses, network = identity.addresses(), identity.network.name
    return NodeIdentity(
        node=format_node(identity.node),
        public_key=identity.public_key.hex(),
        owner=identity.owner.hex(),
        network=network,
        addresses=[str(address) for address in addresses],
        ticket=str(Ticket(network, identity.public_key, addresses)),
    )
