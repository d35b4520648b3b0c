"""id: who this node is."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.node.identity import Identity
from dhtstore.operations.nodes import NodeIdentity
from dhtstore.wire.ticket import Ticket


def node_identity(identity: Identity) -> NodeIdentity:
    """Its addresses are known once its sockets are open."""
    network, addresses = identity.network.name, identity.addresses()
    return identity_of(identity.public_key, identity.owner, network, addresses)


def identity_of(
    public_key: PublicKey, owner: PublicKey, network: str, addresses: Sequence[Address]
) -> NodeIdentity:
    """Of a node with these keys, which can be reached there."""
    ticket = str(Ticket(network, public_key, tuple(addresses))) if addresses else ""
    return NodeIdentity(
        node=format_node(node_id(public_key)),
        public_key=public_key.hex(),
        owner=owner.hex(),
        network=network,
        addresses=[str(address) for address in addresses],
        ticket=ticket,
    )
