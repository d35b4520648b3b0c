"""Peers at ids that a test chooses: nobody can have such, but pure code does not ask."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from dhtstore.dht.core.peer import Peer
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.params import NODE_ID_BYTES, K

BITS = 8 * NODE_ID_BYTES


def peer_with(number: int) -> Peer:
    raw = number.to_bytes(NODE_ID_BYTES, "big")
    key = PublicKey(raw + bytes(12))
    return Peer(Contact(key, Address("10.0.0.1", 4001), NodeId(raw), storage=True), raw)


def ids(rng: random.Random, count: int) -> list[int]:
    return [rng.getrandbits(BITS) for _ in range(count)]


def ground(rng: random.Random, key: int, count: int, bits: int) -> list[int]:
    """Ids that share so many bits with ``key``."""
    return [key ^ rng.getrandbits(BITS - bits) for _ in range(count)]


def closest(key: int, numbers: Iterable[int], count: int = K) -> Sequence[Peer]:
    return [peer_with(each) for each in sorted(numbers, key=key.__xor__)[:count]]
