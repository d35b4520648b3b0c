"""The production lookup, counting what it costs: hops, requests, timeouts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.node.node import Node
from dhtstore.params import ALPHA


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What a lookup cost and found.  ``hops``: 1 if the closest node stood in the own table, else
    1 + the depth of the chain of answers that first named it; ``shortest``: of the shortest chain
    that named it, which differs where a longer chain of faster answers was first."""

    hops: int
    shortest: int
    queries: int
    timeouts: int
    closest: tuple[bytes, ...]


class CountingLookup(Lookup):
    """The production lookup, which also remembers by how long a chain of answers each node was
    named: ``depth`` first, ``shortest`` at best.

    ``beta`` is how many contacts of an answer it takes: None for all, as in production, 1 for
    comparison with the recursion of ``theory``.
    """

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Peer],
        *,
        beta: int | None = None,
        **usual: Any,
    ) -> None:
        self.queries = self.timeouts = 0
        self._beta = beta
        self._number = int.from_bytes(target, "big")
        chosen = self._nearest(seeds)
        self.depth = {peer.id: 1 for peer in chosen}
        self.shortest = dict(self.depth)
        super().__init__(target, chosen, **usual)

    def _nearest(self, peers: Iterable[Peer]) -> list[Peer]:
        return sorted(peers, key=lambda peer: peer.long_id ^ self._number)[: self._beta]

    def next(self, now: float) -> list[Peer]:
        chosen = super().next(now)
        self.queries += len(chosen)
        return chosen

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None:
        taken = self._nearest(contacts)
        depth, shortest = self.depth.get(peer.id, 1) + 1, self.shortest.get(peer.id, 1) + 1
        for contact in taken:
            self.depth.setdefault(contact.id, depth)
            if self.shortest.get(contact.id, shortest) >= shortest:
                self.shortest[contact.id] = shortest
        super().on_response(peer, taken)

    def on_failure(self, peer: Peer) -> None:
        self.timeouts += 1
        super().on_failure(peer)


async def look_up(
    node: Node, target: bytes, *, timeout_s: float, alpha: int = ALPHA, beta: int | None = None
) -> LookupResult:
    """Look up as the node does, counting; at the deadline with what was found so far."""
    kind = partial(CountingLookup, alpha=alpha, beta=beta)
    lookup = await node.dht.search(target, kind, timeout_s=timeout_s)
    closest = tuple(peer.id for peer in lookup.result())
    hops = lookup.depth[closest[0]] if closest else 0
    shortest = lookup.shortest[closest[0]] if closest else 0
    return LookupResult(hops, shortest, lookup.queries, lookup.timeouts, closest)
