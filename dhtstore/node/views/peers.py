"""peers: whom this node knows."""

from __future__ import annotations

from dhtstore.dht.service import DhtService
from dhtstore.model.identity import format_node
from dhtstore.operations.nodes import KnownPeer


def known_peers(dht: DhtService) -> list[KnownPeer]:
    """The routing table, by node id."""
    rows = [
        KnownPeer(
            node=format_node(peer.contact.node),
            address=str(peer.contact.address),
            storage=peer.contact.storage,
            rtt_ms=None if peer.rtt_s is None else peer.rtt_s * 1000,
            seen_s=peer.last_seen_s,
        )
        for peer in dht.peers()
    ]
    return sorted(rows, key=lambda row: row.node)
