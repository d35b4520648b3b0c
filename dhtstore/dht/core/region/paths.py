"""Several lookups of one target that have no node in common (S/Kademlia, Baumgart & Mies 2007).

Whoever is asked may name nobody but its accomplices, as near to the target as they like.  That
leads the path astray on which it was asked, and no other: each node is asked on one path alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.params import ALPHA, K


class DisjointLookup:
    """As ``Lookup``, over ``paths`` of them: each begins with its share of ``seeds`` and ends when
    it would end alone; the result is of all that answered on any."""

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Peer],
        *,
        own_id: bytes,
        soft_timeout_s: float,
        timeout_of: Callable[[Peer], float] | None = None,
        patience_s: float = 0.0,
        paths: int,
        k: int = K,
        alpha: int = ALPHA,
        admits: Callable[[Peer], bool] = lambda peer: True,
        relies_on: Callable[[Peer], bool] = lambda peer: True,
    ) -> None:
        self.target, self.k = target, k
        self._admits = admits
        self._admitted: dict[bytes, bool] = {}
        self._asked: dict[bytes, Lookup] = {}  # on which path
        self._answered: dict[bytes, Peer] = {}
        begun = list(seeds)
        self._paths = [
            Lookup(
                target,
                begun[number::paths],
                own_id=own_id,
                soft_timeout_s=soft_timeout_s,
                timeout_of=timeout_of,
                patience_s=patience_s,
                k=k,
                alpha=math.ceil(alpha / paths),
                admits=self._admit_once,
                relies_on=relies_on,
            )
            for number in range(paths)
        ]

    def next(self, now: float) -> list[Peer]:
        """The peers to ask now (monotonic seconds); they count as asked."""
        return list(chain.from_iterable(self._next_of(path, now) for path in self._paths))

    def _next_of(self, path: Lookup, now: float) -> list[Peer]:
        chosen = list[Peer]()
        while wanted := path.next(now):
            for peer in wanted:
                if peer.id in self._asked:
                    path.on_response(peer, ())  # on another path: it leads this one nowhere
                else:
                    self._asked[peer.id] = path
                    chosen.append(peer)
        return chosen

    def question(self, peer: Peer) -> bytes:
        """What to ask ``peer`` about, on the path on which it is asked."""
        return self._asked[peer.id].question(peer)

    def wake_at(self) -> float | None:
        """When a path has to look at the time; None if nothing comes but answers."""
        return min((at for path in self._paths if (at := path.wake_at()) is not None), default=None)

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None:
        """``peer`` answered and named ``contacts``, on the path on which it was asked."""
        path = self._asked.get(peer.id)
        if path is not None:
            self._answered[peer.id] = peer
            path.on_response(peer, contacts)

    def on_failure(self, peer: Peer) -> None:
        """``peer`` did not answer, or answered nonsense."""
        path = self._asked.get(peer.id)
        if path is not None:
            path.on_failure(peer)

    @property
    def finished(self) -> bool:
        """Whether all paths have come to their end."""
        return all(path.finished for path in self._paths)

    @property
    def asked(self) -> int:
        """How many were asked so far."""
        return len(self._asked)

    @property
    def answered(self) -> int:
        """How many of them answered."""
        return len(self._answered)

    def result(self) -> list[Peer]:
        """The closest peers that answered on any path, closest first, at most k."""
        target = int.from_bytes(self.target, "big")
        return sorted(self._answered.values(), key=lambda peer: peer.long_id ^ target)[: self.k]

    def _admit_once(self, peer: Peer) -> bool:
        """What is admitted counts whom it is asked about: several paths hear of the same."""
        admitted = self._admitted.get(peer.id)
        if admitted is None:
            admitted = self._admitted[peer.id] = self._admits(peer)
        return admitted
