"""The region of a key: the ids that share so long a prefix with it that k nodes are there without
whoever ground ids (Sridhar et al. 2024; Kubo looks for its own in the same way).

Who stands closest to the key names no others.  So those farther away are looked up apart: of the
ids of the region, one half has another first bit after the prefix than the key has, of the rest one
half has another second bit, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.crowding import spread
from dhtstore.params import NODE_ID_BYTES, REGION_LOOKUPS, REGION_NODES_MAX, K

_BITS: Final = 8 * NODE_ID_BYTES


@dataclass(frozen=True, slots=True)
class Region:
    """Around ``key``, of ids that share ``bits`` bits with it, in a network of ``nodes``."""

    key: int
    nodes: float
    bits: int

    @classmethod
    def around(cls, key: int, nodes: float) -> Region:
        """The smallest in which K of so many nodes are in the mean, hence 2 K at most."""
        return cls(key, nodes, max(0, math.floor(math.log2(max(nodes, 1.0) / K))))

    def __contains__(self, long_id: int) -> bool:
        return (long_id ^ self.key) >> (_BITS - self.bits) == 0

    def targets(self) -> list[bytes]:
        """What to look up, to be told of all who are in it: a half of it, a quarter and so on;
        what is left is as near to the key as one node is."""
        bits = range(self.bits, min(self.bits + REGION_LOOKUPS, _BITS))
        apart = (self.key ^ 1 << (_BITS - 1 - bit) for bit in bits)
        return [each.to_bytes(NODE_ID_BYTES, "big") for each in apart]

    def members(self, peers: Iterable[Peer]) -> list[Peer]:
        """Those of ``peers`` that are in it, closest first, REGION_NODES_MAX at most: of more those
        that stand apart as chance puts them go before those that crowd, and of these those whose
        keys solve the puzzle."""
        found = {one.long_id: one for one in peers if one.long_id in self}
        chosen = sorted(found, key=self.key.__xor__)
        if len(chosen) > REGION_NODES_MAX:
            apart = dict.fromkeys(spread(self.key, chosen, self.nodes))
            rest = [number for number in chosen if number not in apart]
            rest.sort(key=lambda number: not found[number].solved)
            chosen = sorted([*apart, *rest][:REGION_NODES_MAX], key=self.key.__xor__)
        return [found[number] for number in chosen]
