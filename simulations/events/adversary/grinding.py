"""Ids near a key: secrets are tried until one has them, as an attacker would."""

from __future__ import annotations

import itertools
import math

from dhtstore.model.identity import node_id
from dhtstore.params import NODE_ID_BYTES
from simulations.seeds import derived_seed
from simulations.world.ports.crypto import SimCrypto

_BITS = 8 * NODE_ID_BYTES
_CLOSER_BITS = 4  # beyond what the closest of all honest nodes shares with the key on average


def bits_against(nodes: int) -> int:
    """How long a prefix an id must share with a key to be closer to it than almost all of so many
    random ids: one in 16 keys has an honest node that is as close."""
    return math.ceil(math.log2(max(2, nodes))) + _CLOSER_BITS


def ground_secret(seed: int, number: int, target: bytes, bits: int) -> bytes:
    """The secret of a node whose id shares that many bits with ``target``; 2**bits tries on
    average, of some microseconds each."""
    wanted, first = int.from_bytes(target, "big"), derived_seed(seed, f"ground/{number}")
    for tries in itertools.count():
        secret = (first + tries).to_bytes(33, "big")
        key = SimCrypto(secret, b"").node.public_key
        if (int.from_bytes(node_id(key), "big") ^ wanted) >> (_BITS - bits) == 0:
            return secret
    raise AssertionError("every id is tried in the end")
