"""peers: whom this node knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.model.identity import format_node

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class PeerRow:
    """``seen`` is how many seconds ago it last answered; ``rtt_ms`` None before a measurement."""

    node: str
    address: str
    storage: bool
    rtt_ms: float | None
    seen: float


def peers(node: Node) -> list[PeerRow]:
    """The routing table, by node id."""
    rows = [
        PeerRow(
            node=format_node(peer.contact.node),
            address=str(peer.contact.address),
            storage=peer.contact.storage,
            rtt_ms=None if peer.rtt_s is None else peer.rtt_s * 1000,
            seen=peer.last_seen_s,
        )
        for peer in node.dht.peers()
    ]
    return sorted(rows, key=lambda row: row.node)
