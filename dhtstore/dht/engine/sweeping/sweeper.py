"""Stores our provider records of many keys: a lookup for a region, then datagrams that carry
several records each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from kademlia.node import Node

from dhtstore.dht.core.lookup import Lookup
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import Published, Verdict
from dhtstore.dht.core.region.crowding import hides
from dhtstore.dht.core.sweeping.handing import Handing, Part
from dhtstore.dht.core.sweeping.seen import SeenNodes
from dhtstore.dht.engine.crawl import RequestBatch, within
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.records import OwnRecords, Records, published
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.errors import Unreachable
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import NODE_ID_BYTES, SWEPT_LOOKUPS_MAX, SWEPT_NODES
from dhtstore.wire.datagram import (
    AddProvider,
    AddProviders,
    Ping,
    Request,
    Response,
    Stored,
    StoredEach,
    Unserved,
    records_that_fit,
)

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock

_NEWER: Final = Verdict.HELD_NEWER.value


class Sweeper:
    """One node's, beside its ``records``, which stores them one by one; an ``ephemeral`` one keeps
    none itself."""

    def __init__(
        self,
        rpc: NodeRpc,
        lookups: Lookups,
        clock: Clock,
        own: OwnRecords,
        records: Records,
        *,
        ephemeral: bool,
    ) -> None:
        self._table, self._calls, self._keeper = rpc.table, rpc.calls, rpc.keeper
        self._lookups, self._clock, self._own = lookups, clock, own
        self._records, self._ephemeral = records, ephemeral

    async def explore(self, key: DhtKey, *, timeout_s: float) -> SeenNodes:
        """What is around ``key``, mostly by one or two lookups.  Raises Unreachable as
        ``Records.provide``."""
        ours: list[Node] = [] if self._ephemeral else [self._table.node]
        seen = SeenNodes(self._clock.monotonic_s(), tuple(ours))
        target, deadline_s = bytes(key), self._clock.monotonic_s() + timeout_s
        while seen.lookups < SWEPT_LOOKUPS_MAX and self._clock.monotonic_s() < deadline_s:
            seen = (await self._look(seen, target, deadline_s)).looked_up()
            gap = seen.gap(key)
            if gap is None:
                break
            target = gap.to_bytes(NODE_ID_BYTES, "big")
        return seen

    async def _look(self, seen: SeenNodes, target: bytes, deadline_s: float) -> SeenNodes:
        left_s = deadline_s - self._clock.monotonic_s()
        lookup = await self._lookups.search(target, _wide, left_s)
        if not seen.lookups:
            self._records.check_answered(lookup.asked, lookup.answered)
        found, number = lookup.result(), int.from_bytes(target, "big")
        if found:
            sure = found if lookup.finished else found[:1]
            reach: int = sure[-1].long_id ^ number
            found += await self._asked_again(lookup.unanswered(reach), deadline_s)
            seen = seen.with_ball(number, reach, found)
        few = len(found) < SWEPT_NODES and len(self._table) <= lookup.asked
        return seen.everywhere() if few and lookup.finished else seen

    async def _asked_again(self, late: Sequence[Peer], deadline_s: float) -> list[Peer]:
        """Those that answer all the same: a lookup ends without who is only late, or lost a
        datagram, and to miss one here is to miss it for hundreds of keys."""
        batch = RequestBatch(self._calls, [(peer, Ping()) for peer in late])
        await within(deadline_s - self._clock.monotonic_s(), batch)
        answers = zip(late, batch.answers, strict=True)
        return [peer for peer, answer in answers if answer is not None]

    async def provide(
        self, seen: SeenNodes, keys: Sequence[DhtKey], timeout_s: float
    ) -> tuple[list[Published], SeenNodes]:
        """Store a record of ours of each of ``keys`` at the K nodes closest to it that were
        ``seen``, this one included; what became of each, in order, and what was seen without the
        nodes that did not answer.  A key around which ids crowd gets a search of its own."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        size = self._records.widening.nodes(int.from_bytes(keys[0], "big")) if keys else 0.0
        hidden = [key for key in keys if hides(key, seen.closest(key), size)]
        alone = frozenset(hidden)
        open_keys = [key for key in keys if key not in alone]
        told, seen = await self._provide(seen, open_keys, deadline_s)
        of_key = dict(zip(open_keys, told, strict=True))
        of_key.update({key: await self._alone(key, deadline_s) for key in hidden})
        return [of_key[key] for key in keys], seen

    async def _alone(self, key: DhtKey, deadline_s: float) -> Published:
        """Whoever grinds ids for many keys takes no more than the time of all of them."""
        left_s = deadline_s - self._clock.monotonic_s()
        if left_s <= 0:
            return Published(0, {})
        pair = (self._own.provider_record(key), self._own.record())
        try:
            [told] = await self._records.provide(key, [pair], left_s)
        except Unreachable:
            return Published(0, {})
        return told

    async def _provide(
        self, seen: SeenNodes, keys: Sequence[DhtKey], deadline_s: float
    ) -> tuple[list[Published], SeenNodes]:
        contact, records = self._own.record(), [self._own.provider_record(key) for key in keys]
        longest = max((len(record.packed) for record in records), default=0)
        handing = Handing(seen, keys, records_that_fit(longest, len(contact.packed)))
        peers = {node.id: node for node in seen.nodes if isinstance(node, Peer)}
        while parts := self._turn(handing, contact, records):
            requests = [(peers[node], _request(contact, records, at)) for node, at in parts]
            batch = RequestBatch(self._calls, requests)
            in_time = await within(deadline_s - self._clock.monotonic_s(), batch)
            for part, answer in zip(parts, batch.answers, strict=True):
                if in_time or answer is not None:  # else it may not even have been asked
                    _tell(handing, part, answer)
            if not in_time:
                break
        await self._publish_above(keys, peers, handing.verdicts, deadline_s)
        told = [
            published(record, list(verdicts), list(verdicts.values()))
            for record, verdicts in zip(records, handing.verdicts, strict=True)
        ]
        return told, seen.without(handing.gone)

    def _turn(
        self, handing: Handing, contact: ContactRecord, records: Sequence[ProviderRecord]
    ) -> list[Part]:
        """What others get now; we may come in the place of one that is silent, too."""
        own_id: bytes = self._table.node.id
        if places := handing.take(own_id):
            self._keeper.tick()
            self._keeper.keep(contact)
            verdicts = [self._keeper.keep(records[at]).value for at in places]
            handing.told((own_id, places), verdicts)
        return handing.turn()

    async def _publish_above(
        self,
        keys: Sequence[DhtKey],
        peers: dict[bytes, Peer],
        verdicts: list[dict[bytes, str]],
        deadline_s: float,
    ) -> None:
        """Where newer records of ours stood in the way, store some above them; rare, and once it is
        known how far they are ahead, what is signed later is above them at once."""
        behind = defaultdict[int, list[bytes]](list)
        for at, of_key in enumerate(verdicts):
            for node, verdict in of_key.items():
                if verdict == _NEWER and node in peers:
                    behind[at].append(node)
        if not behind:
            return
        first = next(iter(behind))
        refusing = [peers[one] for one in behind[first]]
        asking = self._records.elsewhere.provider(refusing, keys[first])
        if not await self._records.outrun(asking, deadline_s):
            return
        contact, parts = self._own.record(), [(at, one) for at in behind for one in behind[at]]
        again = {at: self._own.provider_record(keys[at]).packed for at in behind}
        requests = [(peers[one], AddProvider(again[at], contact.packed)) for at, one in parts]
        batch = RequestBatch(self._calls, requests)
        await within(deadline_s - self._clock.monotonic_s(), batch)
        for (at, one), answer in zip(parts, batch.answers, strict=True):
            verdict = answer.verdict if isinstance(answer, Stored) else ""
            verdicts[at][one] = "" if verdict == _NEWER else verdict


def _wide(target: bytes, seeds: Iterable[Peer], **rules: Any) -> Lookup:
    """It relies on everybody, since no user waits for it."""
    return Lookup(target, seeds, **{**rules, "k": SWEPT_NODES, "relies_on": lambda peer: True})


def _request(contact: ContactRecord, records: Sequence[ProviderRecord], at: list[int]) -> Request:
    if len(at) == 1:
        return AddProvider(records[at[0]].packed, contact.packed)
    return AddProviders([records[each].packed for each in at], contact.packed)


def _tell(handing: Handing, part: Part, answer: Response | None) -> None:
    if isinstance(answer, Stored):
        handing.told(part, [answer.verdict])
    elif isinstance(answer, StoredEach) and len(answer.verdicts) == len(part[1]):
        handing.told(part, answer.verdicts)
    elif isinstance(answer, Unserved):
        handing.one_at_a_time(part)
    else:
        handing.silent(part)
