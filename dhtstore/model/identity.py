"""Keys and NodeIds.  A NodeId is computed from a public key, never declared."""

from __future__ import annotations

import hashlib
from typing import Final, NewType

from dhtstore.params import NODE_ID_BYTES, PUZZLE_BITS

PublicKey = NewType("PublicKey", bytes)  # Ed25519, 32 bytes (RFC 8032)
NodeId = NewType("NodeId", bytes)  # 20 bytes
_PUZZLE_BYTES: Final = 4  # as many as PUZZLE_BITS will ever take
DhtKey = NewType("DhtKey", bytes)  # 20 bytes, same space as NodeIds


def node_id(public_key: PublicKey) -> NodeId:
    """The first 20 bytes of SHA-256 of the key."""
    return NodeId(hashlib.sha256(public_key).digest()[:NODE_ID_BYTES])


def solved(public_key: bytes) -> bool:
    """Whether somebody worked for this key: SHA-256 of SHA-256 of it begins with PUZZLE_BITS zero
    bits (S/Kademlia, Baumgart & Mies 2007: the static puzzle; the inner hash is the NodeId's)."""
    twice = hashlib.sha256(hashlib.sha256(public_key).digest()).digest()
    return int.from_bytes(twice[:_PUZZLE_BYTES], "big") >> (8 * _PUZZLE_BYTES - PUZZLE_BITS) == 0


def dht_key(unit_name: bytes) -> DhtKey:
    """Where the provider records of a unit live: index nodes see a hash of a hash.

    ``unit_name`` is ``Unit.name``.
    """
    return DhtKey(hashlib.sha256(b"dhtstore/unit/1\0" + unit_name).digest()[:NODE_ID_BYTES])


def contact_key(node: NodeId) -> DhtKey:
    """Where a node's contact record lives: at the nodes closest to its NodeId."""
    return DhtKey(node)


def distance(a: bytes, b: bytes) -> int:
    """XOR distance of two 160-bit ids (Kademlia section 2)."""
    return int.from_bytes(a, "big") ^ int.from_bytes(b, "big")


def format_node(node: NodeId) -> str:
    """The one way a node is written for people and in JSON: 40 hex digits."""
    return node.hex()
