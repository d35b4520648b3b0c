"""Whether nodes lie closer to a key than chance puts them: somebody may have ground their ids.

Of n nodes with random ids, those within a share s of all distances from a key are n * s in the
mean, and as good as Poisson distributed.  So it can be said of each number of nodes how near they
are to a key at the nearest, but for one key in 1 / CROWD_RATE; whoever is nearer is one too many.
The idea is that of Sridhar et al., "Content censorship in the InterPlanetary File System" (NDSS
2024), who compare the lengths of shared prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

from kademlia.node import Node

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.size import share
from dhtstore.params import CROWD_MIN, CROWD_RATE, K

_STEPS: Final = 40  # halvings of what is at most some hundred: exact to a billionth


def crowded(target: int, closest: Sequence[Peer], nodes: float) -> bool:
    """Whether CROWD_MIN or more of those ``closest`` to ``target``, closest first, are nearer than
    so many of ``nodes`` are, but for less than one key in a thousand."""
    numbered = enumerate(closest[CROWD_MIN - 1 :], start=CROWD_MIN)
    return any(nodes * share(one.long_id ^ target) < least_mean(i) for i, one in numbered)


def hides(key: bytes, closest: Sequence[Node], nodes: float) -> bool:
    """Whether most of the K ``closest`` to ``key`` are a crowd, so that a record that they keep
    may be lost.  The question of a sweep, whose records reach the others all the same: ``crowded``
    is so of one key in a thousand by chance, and each would cost a search of its own."""
    target, ids = int.from_bytes(key, "big"), [node.long_id for node in closest]
    return len(ids) == K and len(spread(target, ids, nodes)) < K // 2


def spread(target: int, ids: Sequence[int], nodes: float) -> list[int]:
    """Of ``ids`` those that are no more than chance puts where they are, closest first: of a crowd
    of any size one or two."""
    kept = list[int]()
    for number in sorted(ids, key=target.__xor__):
        if nodes * share(number ^ target) >= least_mean(len(kept) + 1):
            kept.append(number)
    return kept


@cache
def least_mean(count: int) -> float:
    """How many there must be in the mean, that ``count`` or more are there once in
    1 / CROWD_RATE."""
    low, high = 0.0, float(count)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _chance(count, middle) > CROWD_RATE else (middle, high)
    return high


def _chance(count: int, mean: float) -> float:
    """Of ``count`` or more where there are ``mean`` in the mean, by Poisson."""
    term = fewer = math.exp(-mean)
    for number in range(1, count):
        term *= mean / number
        fewer += term
    return 1 - fewer
