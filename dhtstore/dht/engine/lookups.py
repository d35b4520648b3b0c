"""Lookups of one node: from what its table knows, through its calls, to the closest that answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.refresh import relies_on, seeds
from dhtstore.dht.core.region.size import NetworkSize
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.crawl import Crawl, OnAnswer, Search, within
from dhtstore.params import CLOSEST_KNOWN_MAX, CLOSEST_KNOWN_S, LOOKUP_TIMEOUT_S
from dhtstore.wire.datagram import FindContact, FindNode, FindPolicy, GetProviders

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock


L = TypeVar("L", bound=Search)


class Closest(NamedTuple):
    """Whom a lookup found, closest first, without this node, and how many of those it ``asked``
    ``answered``."""

    peers: list[Peer]
    asked: int
    answered: int


class Lookups:
    """Starts lookups; each is a Crawl of its own, so any number may run.  Whom the last of them
    found is known for a while: who looks up who holds something mostly stores something there
    next."""

    def __init__(self, table: Table, calls: Calls, clock: Clock) -> None:
        self._table, self._calls, self._clock = table, calls, clock
        self._found: OrderedDict[bytes, tuple[float, Closest]] = OrderedDict()
        self.size = NetworkSize()

    async def near(self, target: bytes, timeout_s: float) -> Closest:
        """The same as ``closest``; by no new lookup where one has just come to its end."""
        known = self._found.get(target)
        if known is not None and self._clock.monotonic_s() - known[0] < CLOSEST_KNOWN_S:
            return known[1]
        lookup = await self.search(target, Lookup, timeout_s)
        return Closest(lookup.result(), lookup.asked, lookup.answered)

    def found(self, target: bytes, lookup: Search) -> None:
        """It came to its end, or was ended."""
        if lookup.finished and lookup.answered:
            told = Closest(lookup.result(), lookup.asked, lookup.answered)
            self._found.pop(target, None)
            self._found[target] = self._clock.monotonic_s(), told
            if len(self._found) > CLOSEST_KNOWN_MAX:
                self._found.popitem(last=False)

    async def closest(
        self, target: bytes, timeout_s: float = LOOKUP_TIMEOUT_S, also: Iterable[Peer] = ()
    ) -> list[Peer]:
        """The K closest to ``target`` that answered, closest first, without this node; at the
        deadline those found so far.  ``also`` are asked beside those the table knows."""
        lookup = self._start(target, Lookup, also)
        await within(timeout_s, Crawl(self._calls, lookup, FindNode(target)))
        self._learn_size(target, lookup)
        return lookup.result()

    async def search(self, target: bytes, kind: Callable[..., L], timeout_s: float) -> L:
        """Run a lookup that ``kind`` makes from what ``Lookup`` takes, and return it: experiments
        count, or search by other rules."""
        lookup = self._start(target, kind)
        await within(timeout_s, Crawl(self._calls, lookup, FindNode(target)))
        self._learn_size(target, lookup)
        if kind is Lookup:
            self.found(target, lookup)
        return lookup

    def crawl(
        self,
        target: bytes,
        request: GetProviders | FindContact | FindPolicy,
        on_answer: OnAnswer,
        kind: Callable[..., Search] = Lookup,
    ) -> Crawl:
        """A lookup of ``target`` that asks each node for records, ready to run."""
        return Crawl(self._calls, self._start(target, kind), request, on_answer)

    def _learn_size(self, target: bytes, lookup: Search) -> None:
        if lookup.finished and lookup.answered:
            number = int.from_bytes(target, "big")
            self.size.looked_up(number, lookup.result(), self._clock.monotonic_s())

    def _start(self, target: bytes, kind: Callable[..., L], also: Iterable[Peer] = ()) -> L:
        number, now = int.from_bytes(target, "big"), self._clock.monotonic_s()
        self._table.looked_up(number, now)
        return kind(
            target,
            [*seeds(self._table, number, now), *also],
            own_id=self._table.node.id,
            soft_timeout_s=self._calls.rtt.timeout_s,
            timeout_of=self._calls.timing.timeout_of,
            patience_s=self._calls.rtt.patience_s,
            admits=self._calls.introductions().admits,
            relies_on=partial(relies_on, self._table),
        )
