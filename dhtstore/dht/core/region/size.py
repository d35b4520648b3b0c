"""How many nodes a network has, from how dense their ids lie around what was looked up.

Ids are hashes, hence spread evenly: of n nodes the k-th closest to a target is at k / n of all
distances.  One lookup tells that within a fifth (a standard deviation of 1 / sqrt(k)); the median
over many parts of the ids tells it better, and stays right where somebody ground ids to a few keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from statistics import median_low
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.params import NETWORK_SIZE_AGE_MAX_S, NETWORK_SIZE_PARTS, NODE_ID_BYTES, K

_BITS: Final = 8 * NODE_ID_BYTES
_PART_BITS: Final = NETWORK_SIZE_PARTS.bit_length() - 1


def share(distance: int) -> float:
    """The part of all ids that are closer than that."""
    return distance / (1 << _BITS)


def nodes_around(target: int, closest: Sequence[Peer]) -> float:
    """How many nodes there are if they are everywhere as dense as these, the K closest to
    ``target``, closest first; fewer are all there are."""
    if len(closest) < K:
        return len(closest)
    # k - 1, since the farthest is where it is by being the k-th: the mean is right with it.
    return (K - 1) / share(max(closest[K - 1].long_id ^ target, 1))


class NetworkSize:
    """Remembers of each of NETWORK_SIZE_PARTS parts of the ids what the last lookup there told, for
    NETWORK_SIZE_AGE_MAX_S.  ``now`` is monotonic seconds."""

    __slots__ = ("_at_s", "_nodes")

    def __init__(self) -> None:
        self._nodes = array("f")
        self._at_s = array("d")

    def looked_up(self, target: int, closest: Sequence[Peer], now: float) -> None:
        """A lookup of ``target`` ended, and these are the closest of those that answered; fewer
        than K tell nothing that would be so for long."""
        if len(closest) < K:
            return
        if not self._nodes:  # many nodes of a simulation never look anything up
            self._nodes.extend([0.0] * NETWORK_SIZE_PARTS)
            self._at_s.extend([0.0] * NETWORK_SIZE_PARTS)
        part = _part(target)
        self._nodes[part], self._at_s[part] = nodes_around(target, closest), now

    def estimate(self, target: int, own: int, neighbours: Sequence[Peer], now: float) -> float:
        """Of what lookups told and of what our own ``neighbours`` in the table tell, the median;
        what is known of the part where ``target`` lies is left out, since it is in question, and
        of two the lower one is taken, since to be too many is what an attacker gains by."""
        told = [
            nodes
            for part, (nodes, at_s) in enumerate(zip(self._nodes, self._at_s, strict=True))
            if nodes and now - at_s < NETWORK_SIZE_AGE_MAX_S and part != _part(target)
        ]
        return median_low([*told, nodes_around(own, neighbours)])


def _part(target: int) -> int:
    return target >> (_BITS - _PART_BITS)
