"""id: who this node is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.model.identity import format_node
from dhtstore.wire.ticket import Ticket

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class Identity:
    """Keys in hex; ``addresses`` as HOST:PORT."""

    node: str
    public_key: str
    owner: str
    network: str
    addresses: list[str]
    ticket: str


def identity(node: Node) -> Identity:
    addresses = node.addresses()
    return Identity(
        node=format_node(node.node_id),
        public_key=node.public_key.hex(),
        owner=node.ports.crypto.owner.public_key.hex(),
        network=node.settings.network.name,
        addresses=[str(address) for address in addresses],
        ticket=str(Ticket(node.settings.network.name, node.public_key, addresses)),
    )
