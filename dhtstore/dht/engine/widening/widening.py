"""What is done where the closest to a key are nearer to it than chance puts so many: the whole
region of the key is looked through, as far as k honest nodes reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from kademlia.node import Node, NodeHeap

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.crowding import crowded
from dhtstore.dht.core.region.paths import DisjointLookup
from dhtstore.dht.core.region.region import Region
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.crawl import WINDOW_MAX, Crawl, OnAnswer, Search, within
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.params import REGION_LOOKUPS, REGION_NODES_MAX, REGION_PATHS, K
from dhtstore.tasks import run_all
from dhtstore.wire.datagram import FindContact, FindPolicy, GetProviders

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock


@dataclass(frozen=True, slots=True)
class Searched:
    """How many nodes a search ``asked``, and how many of them ``answered``."""

    asked: int
    answered: int


class Widening:
    """Finds the regions of keys whose closest nodes crowd, and who is there."""

    def __init__(
        self,
        table: Table,
        calls: Calls,
        lookups: Lookups,
        clock: Clock,
        *,
        ephemeral: bool,
        paths: int,
    ) -> None:
        self._table, self._calls = table, calls
        self._lookups, self._clock = lookups, clock
        self._ephemeral = ephemeral
        self._kind: Callable[..., Search] = (
            partial(DisjointLookup, paths=paths) if paths > 1 else Lookup
        )

    async def index_nodes(
        self, key: bytes, closest: list[Peer], deadline_s: float
    ) -> tuple[list[Node], Region | None]:
        """Where records of ``key`` are kept, closest first, with ourselves among them unless we
        are ephemeral: at the K closest, or where these crowd, in the whole region, which comes
        with them."""
        region, most = self.region(key, closest), K
        ours = [] if self._ephemeral else [self._table.node]
        nodes: list[Node] = list(closest)
        if region is not None:
            nodes, most = list(await self.members(region, closest, deadline_s)), REGION_NODES_MAX
            ours = [node for node in ours if node.long_id in region]
        places = NodeHeap(Node(key), most)
        places.push([*nodes, *ours])
        return list(places), region

    def nodes(self, target: int) -> float:
        """How many nodes the network has, told by all but what is around ``target``."""
        own: int = self._table.node.long_id
        neighbours = self._table.closest(own, self._table.ksize)
        now = self._clock.monotonic_s()
        told = self._lookups.size.estimate(target, own, neighbours, now)
        return max(told, len(self._table))

    def region(self, key: bytes, closest: Sequence[Peer]) -> Region | None:
        """The region to look through, where these crowd around ``key``; else None."""
        if len(closest) < self._table.ksize:
            return None  # they are all there are: nobody was kept out
        target = int.from_bytes(key, "big")
        others = [one for one in closest if one.long_id != target]  # a contact's own node is right
        nodes = self.nodes(target)
        return Region.around(target, nodes) if crowded(target, others, nodes) else None

    async def members(
        self, region: Region, closest: Sequence[Peer], deadline_s: float
    ) -> list[Peer]:
        """Those in it that answer, closest first, ``closest`` among them; takes half of the time
        that is left at most."""
        timeout_s = (deadline_s - self._clock.monotonic_s()) / 2
        kind = partial(DisjointLookup, paths=REGION_PATHS)
        work = [partial(self._lookups.search, each, kind, timeout_s) for each in region.targets()]
        found = await run_all(work, REGION_LOOKUPS)
        return region.members(chain(closest, *(each.result() for each in found)))

    async def search(
        self,
        key: bytes,
        request: GetProviders | FindContact | FindPolicy,
        on_answer: OnAnswer,
        timeout_s: float,
        follow: Callable[[Crawl], None] = lambda crawl: None,
    ) -> Searched:
        """Ask the closest to ``key`` for records and, where they crowd around it, all others in
        its region, until ``on_answer`` returns True; ``follow`` is told of what asks."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        crawl = self._lookups.crawl(key, request, on_answer, self._kind)
        follow(crawl)
        done = await within(timeout_s, crawl)
        lookup, closest = crawl.lookup, crawl.lookup.result()
        if done:
            self._lookups.found(key, lookup)
        region = self.region(key, closest) if done and lookup.finished else None
        if region is None:
            return Searched(lookup.asked, lookup.answered)
        members = await self.members(region, closest, deadline_s)
        told = {peer.id for peer in closest}
        unasked = [peer for peer in members if peer.id not in told]
        others = self._crawl(key, unasked, request, on_answer)
        follow(others)
        await within(deadline_s - self._clock.monotonic_s(), others)
        more = others.lookup
        return Searched(lookup.asked + more.asked, lookup.answered + more.answered)

    def _crawl(
        self,
        key: bytes,
        peers: Sequence[Peer],
        request: GetProviders | FindContact | FindPolicy,
        on_answer: OnAnswer,
    ) -> Crawl:
        """Ask these and nobody whom they name, ready to run."""
        lookup = Lookup(
            key,
            peers,
            own_id=self._table.node.id,
            soft_timeout_s=self._calls.rtt.timeout_s,
            k=len(peers),
            alpha=WINDOW_MAX,
            admits=_nobody,
        )
        return Crawl(self._calls, lookup, request, on_answer)


def _nobody(peer: Peer) -> bool:
    return False
