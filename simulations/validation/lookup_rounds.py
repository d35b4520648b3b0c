"""Kademlia's lookup in rounds, as papers and vectorised models have it: a yardstick, no node code.

All requests of a round are answered at the same moment, before the next round is chosen.  The
production lookup is driven by events instead, so it agrees with this where all latencies are the
same; where they differ, whichever chain of answers is fastest reveals a node first, and that is
not always the shortest one.
"""

from __future__ import annotations

import bisect
import functools
import heapq
import random
from collections.abc import Sequence

from dhtstore.params import ALPHA, K

_BITS = 64  # of an id here: more than enough to tell nodes apart


class RoundModel:
    """A settled network of ``nodes`` nodes: each knows ``k`` random members of every bucket, or
    all of them where there are fewer."""

    def __init__(self, nodes: int, seed: int, k: int = K) -> None:
        self._k, self._rng = k, random.Random(seed)
        self._ids = sorted({self._rng.getrandbits(_BITS) for _ in range(nodes)})
        self._table = functools.cache(self._draw_table)

    def mean_hops(self, lookups: int, alpha: int = ALPHA) -> float:
        """Mean hop of the closest node: 1 + the depth of the chain that first revealed it."""
        targets = (self._rng.getrandbits(_BITS) for _ in range(lookups))
        return sum(self._hops(self._rng.choice(self._ids), t, alpha) for t in targets) / lookups

    def _hops(self, own: int, target: int, alpha: int) -> int:
        depth = dict.fromkeys(self._closest(own, target), 1)
        known, asked = sorted(depth, key=target.__xor__), {own}
        while chosen := [node for node in known[: self._k] if node not in asked][:alpha]:
            asked.update(chosen)
            for node in sorted(chosen, key=depth.__getitem__):
                for named in self._closest(node, target):
                    if named != own:
                        depth.setdefault(named, depth[node] + 1)
            known = heapq.nsmallest(self._k, depth, key=target.__xor__)
        return depth[known[0]]

    def _closest(self, node: int, target: int) -> list[int]:
        return heapq.nsmallest(self._k, self._table(node), key=target.__xor__)

    def _draw_table(self, own: int) -> Sequence[int]:
        table, low, high = list[int](), 0, len(self._ids)
        for bit in range(_BITS - 1, -1, -1):
            middle = bisect.bisect_left(self._ids, (own >> bit | 1) << bit, low, high)
            other, (low, high) = (
                (range(low, middle), (middle, high))
                if own >> bit & 1
                else (range(middle, high), (low, middle))
            )
            chosen = self._rng.sample(other, self._k) if len(other) > self._k else other
            table += [self._ids[at] for at in chosen]
            if high - low <= 1:
                break
        return table
