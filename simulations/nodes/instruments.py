"""Looking into nodes without changing what they do: kinds of datagrams, hops of lookups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from dhtstore.content.dag.local import local_units
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.errors import BlockMissing, IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.node.node import Node
from dhtstore.params import ALPHA, K
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.wire import datagram, envelope
from simulations.datagram_kinds import ANSWER

_TAG_LENGTH_MASK = 0x1F  # msgpack fixstr
_WANTS_AT_ONCE = 64


def kind_of(data: bytes) -> str:
    """What a datagram is: the request's name, "answer" or "challenge"."""
    flags = data[envelope.FLAGS_AT]
    at = envelope.OVERHEAD_BYTES + envelope.COOKIE_BYTES * bool(flags & envelope.COOKIE)
    tag_at = at + datagram.FRAME_OVERHEAD_BYTES + 1  # behind the head of the array
    if flags & envelope.CHALLENGE or tag_at >= len(data):
        return "challenge"
    if data[at] == datagram.RESPONSE:
        return ANSWER
    end = tag_at + 1 + (data[tag_at] & _TAG_LENGTH_MASK)
    return data[tag_at + 1 : end].decode("ascii", "replace")


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

    ``beta`` is how many contacts of an answer it takes: K in production, 1 for comparison with
    the recursion of ``theory``.
    """

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Peer],
        *,
        own_id: bytes,
        soft_timeout_s: float,
        alpha: int = ALPHA,
        beta: int = K,
    ) -> None:
        self.queries = self.timeouts = 0
        self._beta = beta
        self._number = int.from_bytes(target, "big")
        chosen = self._nearest(seeds)
        self.depth = {peer.id: 1 for peer in chosen}
        self.shortest = dict(self.depth)
        super().__init__(target, chosen, own_id=own_id, soft_timeout_s=soft_timeout_s, alpha=alpha)

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
            self.shortest[contact.id] = min(shortest, self.shortest.get(contact.id, shortest))
        super().on_response(peer, taken)

    def on_failure(self, peer: Peer) -> None:
        self.timeouts += 1
        super().on_failure(peer)


async def look_up(
    node: Node, target: bytes, *, timeout_s: float, alpha: int = ALPHA, beta: int = K
) -> LookupResult:
    """Look up as the node does, counting; at the deadline with what was found so far."""
    kind = partial(CountingLookup, alpha=alpha, beta=beta)
    lookup = await node.dht.search(target, kind, timeout_s=timeout_s)
    closest = tuple(peer.id for peer in lookup.result())
    hops = lookup.depth[closest[0]] if closest else 0
    shortest = lookup.shortest[closest[0]] if closest else 0
    return LookupResult(hops, shortest, lookup.queries, lookup.timeouts, closest)


def holds_all(store: BlockStore, root: Cid) -> bool:
    """Whether every block below ``root`` is there and right."""
    try:
        for unit in local_units(store, root):
            walk = UnitWalk(unit)
            while wants := walk.next(_WANTS_AT_ONCE):
                for want in wants:
                    walk.accept(want, store.get(want.cid))
    except (BlockMissing, IntegrityFailure):
        return False
    return True
