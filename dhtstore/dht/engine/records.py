"""Records through the network: stored at the nodes closest to their key, and found there."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import Published, Verdict
from dhtstore.dht.core.refresh import seeds
from dhtstore.dht.core.region.crowding import spread
from dhtstore.dht.core.region.region import Region
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.crawl import RequestBatch, within
from dhtstore.dht.engine.harvest import (
    ContactHarvest,
    FoundProviders,
    OnProvider,
    ProviderHarvest,
    correct,
)
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.outrun import HeldElsewhere
from dhtstore.dht.engine.policies.policies import PolicyRecords
from dhtstore.dht.engine.widening.widening import Widening
from dhtstore.errors import Unreachable
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, contact_key, node_id
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import (
    CONTACT_RECORD_MAX_BYTES,
    MAINTENANCE_INTERVAL_S,
    PROVIDER_RECORD_MAX_BYTES,
)
from dhtstore.wire.datagram import (
    AddProvider,
    FindContact,
    Request,
    StoreContact,
    Stored,
)

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock

Verdicts = list[list[str]]  # a list for each node: of each record, "" where it did not answer
_NEWER: Final = Verdict.HELD_NEWER.value
_MALFORMED: Final = Verdict.MALFORMED.value
Pair = tuple[ProviderRecord, ContactRecord]
SignAgain = Callable[[DhtKey], ProviderRecord]
_HELD: Final = (Verdict.KEPT.value, _NEWER)  # its provider is found there, either way


class OwnRecords(Protocol):
    """Signs for this node."""

    @property
    def public_key(self) -> PublicKey: ...

    def record(self) -> ContactRecord:
        """The contact record."""

    def provider_record(self, key: DhtKey) -> ProviderRecord:
        """A fresh statement that this node provides ``key``."""

    def withdrawal(self, key: DhtKey) -> ProviderRecord:
        """A fresh statement that this node provides ``key`` no longer."""

    def outrun(self, sequence: int) -> bool:
        """What is signed from now on has a higher sequence than that; whether that was ahead of all
        that was signed so far."""


class Records:
    """Publishes and finds the records of one node; an ``ephemeral`` one keeps none itself.

    ``cut_off`` is asked, when there was nobody to ask, whether others were known once."""

    def __init__(
        self,
        table: Table,
        calls: Calls,
        keeper: RecordKeeper,
        lookups: Lookups,
        clock: Clock,
        rng: random.Random,
        own: OwnRecords,
        cut_off: Callable[[], bool],
        *,
        ephemeral: bool,
        paths: int,
    ) -> None:
        self._table, self._calls, self._keeper = table, calls, keeper
        self._lookups, self._clock, self._rng = lookups, clock, rng
        self._own, self._cut_off = own, cut_off
        self.widening = Widening(table, calls, lookups, clock, ephemeral=ephemeral, paths=paths)
        parts = calls, keeper, lookups, self.widening, clock
        self.policies = PolicyRecords(*parts, self.check_answered)
        self.elsewhere = HeldElsewhere(calls, keeper, own.public_key)

    # --- storing ---------------------------------------------------------------------------

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[Pair],
        timeout_s: float,
    ) -> list[Published]:
        """Store ``records`` at the K nodes closest to ``key``, this one included if it is among
        them; what became of each, in order.

        That its own signer keeps a record counts only beside others: by its own clock a record is
        always in time, and who is cut off tells nobody.  Raises Unreachable when others are known
        and none of them answered."""
        return await self._publish(key, records, timeout_s, self._own.provider_record)

    async def withdraw(self, key: DhtKey, timeout_s: float) -> Published:
        """Take this node's provider record of ``key`` back at the K nodes closest to it; what
        became of that.  Raises as ``provide``."""
        self._keeper.tick()
        for held in self._keeper.providers(key):
            if held.public_key == self._own.public_key:
                self._own.outrun(held.sequence)
        pairs = [(self._own.withdrawal(key), self._own.record())]
        return (await self._publish(key, pairs, timeout_s, self._own.withdrawal))[0]

    async def _publish(
        self, key: DhtKey, records: Sequence[Pair], timeout_s: float, sign_again: SignAgain
    ) -> list[Published]:
        """``sign_again`` makes a newer one of ours where that is called for."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        near = await self._lookups.near(key, timeout_s)
        self.check_answered(near.asked, near.answered)
        index_nodes, region = await self.widening.index_nodes(key, near.peers, deadline_s)
        others = [node for node in index_nodes if isinstance(node, Peer)]
        verdicts = await self._store(others, [_request(pair) for pair in records], deadline_s)
        for at, (record, _) in enumerate(records):
            if record.signer == self._own.public_key:
                await self._publish_above(key, others, verdicts, at, deadline_s, sign_again)
        asked = [node.id for node in others]
        if len(others) < len(index_nodes):
            asked.append(self._table.node.id)
            verdicts.append(self._keep_pairs(records))
        return [
            published(record, asked, [each[at] for each in verdicts], region)
            for at, (record, _) in enumerate(records)
        ]

    async def _publish_above(
        self,
        key: DhtKey,
        peers: Sequence[Peer],
        verdicts: Verdicts,
        at: int,
        deadline_s: float,
        sign_again: SignAgain,
    ) -> None:
        """Where a newer record of ours stood in the way of ours, the one ``at`` that place, store
        one above it, and put down what came of that."""
        behind = [i for i, verdict in enumerate(verdicts) if verdict[at] == _NEWER]
        if not behind:
            return
        refusing = [peers[i] for i in behind]
        if not await self.outrun(self.elsewhere.provider(refusing, key), deadline_s):
            return
        request = _request((sign_again(key), self._own.record()))
        for i, verdict in zip(
            behind, await self._store(refusing, [request], deadline_s), strict=True
        ):
            verdicts[i][at] = verdict[0] if verdict[0] != _NEWER else ""

    def _keep_pairs(self, records: Sequence[Pair]) -> list[str]:
        self._keeper.tick()
        return [_keep_pair(self._keeper, pair) for pair in records]

    async def publish_contact(self, timeout_s: float) -> int:
        """Store our own contact record near our id; how many nodes acknowledged."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        closest = await self._neighbours(timeout_s)
        verdicts = await self._store_contact(closest, deadline_s)
        refusing = [p for p, each in zip(closest, verdicts, strict=True) if each == _NEWER]
        if refusing and await self.outrun(self.elsewhere.contact(refusing), deadline_s):
            verdicts += await self._store_contact(refusing, deadline_s)
        return verdicts.count(Verdict.KEPT.value)

    async def _store_contact(self, peers: Sequence[Peer], deadline_s: float) -> list[str]:
        record = self._own.record()
        self._keeper.tick()
        self._keeper.keep(record)
        verdicts = await self._store(peers, [StoreContact(record.packed)], deadline_s)
        return [verdict for (verdict,) in verdicts]

    async def outrun(self, asking: Coroutine[Any, Any, int], deadline_s: float) -> bool:
        """Whether somebody tells of newer records of ours that are ahead of what we have signed;
        what we sign from now on is above them.  One that is not is our own later word: what was
        withdrawn while it was being announced."""
        sequence = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s - self._clock.monotonic_s()):
                sequence = await asking
        return sequence > 0 and self._own.outrun(sequence)

    async def _neighbours(self, timeout_s: float) -> list[Peer]:
        """The K closest to us, and those believed in; a node that has just joined knows them."""
        table, now = self._table, self._clock.monotonic_s()
        if now - table.neighbours_updated_s < MAINTENANCE_INTERVAL_S:
            return seeds(table, table.node.long_id, now)
        return await self._lookups.closest(table.node.id, timeout_s)

    async def _store(
        self, peers: Sequence[Peer], requests: Sequence[Request | None], deadline_s: float
    ) -> Verdicts:
        """Send every request to every peer; what became of each, a list a peer.  None, of what
        cannot be sent, is malformed everywhere."""
        whole = [(at, request) for at, request in enumerate(requests) if request is not None]
        batch = RequestBatch(self._calls, [(peer, r) for peer in peers for _, r in whole])
        await within(deadline_s - self._clock.monotonic_s(), batch)
        told = iter(batch.answers)
        verdicts = [[_MALFORMED] * len(requests) for _ in peers]
        for of_peer in verdicts:
            for at, _ in whole:
                of_peer[at] = _verdict(next(told))
        return verdicts

    # --- finding ---------------------------------------------------------------------------

    async def find_providers(
        self,
        key: DhtKey,
        wanted: int,
        timeout_s: float,
        on_provider: OnProvider,
        *,
        silent: bool = False,
    ) -> FoundProviders:
        """As ``DhtService.find_providers``."""
        self._keeper.tick()
        harvest = ProviderHarvest(
            self._keeper, key, wanted, self._clock.unix_s, self._rng, on_provider, silent=silent
        )
        if harvest.take_local():
            return FoundProviders(harvest.providers(), 0, 0)
        searched = await self.widening.search(
            key, harvest.page(), harvest.on_answer, timeout_s, harvest.follow
        )
        for _ in harvest.take_waiting():
            await asyncio.sleep(0)
        correct(harvest, self._calls)
        found = harvest.providers()
        if not found:
            self.check_answered(searched.asked, searched.answered)
        told_of_us = harvest.witnesses(self._own.public_key)
        counts = searched.asked, searched.answered, harvest.expired, told_of_us
        return FoundProviders(found, *counts)

    async def find_contact(self, node: NodeId, timeout_s: float) -> ContactRecord | None:
        """The newest contact record of a node that is found, verified.  Raises Unreachable when
        nobody answered, unless one is known here."""
        self._keeper.tick()
        harvest = ContactHarvest(self._keeper, node, self._clock.unix_s)
        key = contact_key(node)
        searched = await self.widening.search(key, FindContact(key), harvest.on_answer, timeout_s)
        if harvest.newest is None:
            self.check_answered(searched.asked, searched.answered)
        return harvest.newest

    def check_answered(self, asked: int, answered: int) -> None:
        """That nothing was found means something only if somebody was asked and answered, or if
        there never was anybody else; raises Unreachable."""
        if asked and not answered:
            raise Unreachable(f"none of {asked} known nodes answered")
        if not asked and self._cut_off():
            raise Unreachable("none of the nodes that were known here answers any more")


def _verdict(answer: object) -> str:
    return answer.verdict if isinstance(answer, Stored) else ""


def _request(pair: Pair) -> AddProvider | None:
    """None for what nobody would take: it must not cost what is published beside it."""
    record, contact = pair
    fits = len(record.packed) <= PROVIDER_RECORD_MAX_BYTES
    fits = fits and len(contact.packed) <= CONTACT_RECORD_MAX_BYTES
    right = fits and record.public_key == contact.public_key
    return AddProvider(record.packed, contact.packed) if right else None


def _keep_pair(keeper: RecordKeeper, pair: Pair) -> str:
    if _request(pair) is None:
        return _MALFORMED
    keeper.keep(pair[1])
    return keeper.keep(pair[0]).value


def published(
    record: ProviderRecord,
    asked: Sequence[bytes],
    verdicts: Sequence[str],
    region: Region | None = None,
) -> Published:
    """``verdicts`` of those ``asked``, by id; "" of one that did not answer.  In a ``region`` where
    ids crowd only so many count as chance puts there."""
    signer = node_id(record.signer)
    told = list(zip(asked, verdicts, strict=True))
    others = [(node, verdict) for node, verdict in told if node != signer]
    holders = _holders(others, region)
    refusals = Counter(v for _, v in others if v and v not in _HELD)
    if holders or not others:
        holders = _holders(told, region)
    return Published(holders, dict(refusals))


def _holders(told: Sequence[tuple[bytes, str]], region: Region | None) -> int:
    holding = [int.from_bytes(node, "big") for node, verdict in told if verdict in _HELD]
    return len(spread(region.key, holding, region.nodes) if region is not None else holding)
