"""Entering the network, and the loop that keeps a node in it: refreshing its table on time, and
finding back when it knows nobody any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.refresh import buckets_due, buckets_with_room, neighbours_due, silent
from dhtstore.dht.engine.crawl import RequestBatch, contacts_in
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.dht.engine.upkeep import Upkeep
from dhtstore.model.contact import Contact, routable
from dhtstore.params import MAINTENANCE_INTERVAL_S
from dhtstore.tasks import Alarm
from dhtstore.wire.datagram import FindNode, Ping

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Entropy

_RETRY_FIRST_S: Final = 5.0  # after meeting nobody; then doubling up to MAINTENANCE_INTERVAL_S
_SEEDS_MAX: Final = 64
_SEED_ATTEMPTS: Final = 3  # a single seed must not be missed for two lost datagrams


class Maintenance:
    """Remembers who let this node in; an ``ephemeral`` one does not fill its far buckets."""

    def __init__(
        self, rpc: NodeRpc, lookups: Lookups, clock: Clock, entropy: Entropy, *, ephemeral: bool
    ) -> None:
        self._rpc, self._lookups = rpc, lookups
        self._clock, self._rng, self._ephemeral = clock, entropy.rng, ephemeral
        self._upkeep = Upkeep(rpc.table, rpc.calls, clock, entropy.rng)
        self._seeds: list[Peer] = []
        self._alarm = Alarm()
        rpc.returning.on_lost = self.cut_off

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Meet the network through ``contacts``; how many of them answered."""
        answered = await self._enter(contacts)
        if not answered and self._lost:
            self._alarm.ring()
        return answered

    def time_jumped(self) -> None:
        """The machine was asleep: what became due meanwhile is done now."""
        self._alarm.ring()

    @property
    def _lost(self) -> bool:
        """Whether others were known once, and nobody is now."""
        return bool(self._seeds) and not len(self._rpc.table)

    async def _enter(self, contacts: Sequence[Contact]) -> int:
        table = self._rpc.table
        peers = [peer_of(c) for c in contacts[:_SEEDS_MAX] if routable(c.address)]
        peers = [peer for peer in peers if peer.id != table.node.id]
        answered = await self._answering(peers)
        if answered:
            self._seeds = answered
            await self._lookups.closest(table.node.id)
            for index in () if self._ephemeral else buckets_with_room(table):
                await self._upkeep.fill(index)
            await self._upkeep.ask_clocks()
        elif peers and not len(table):
            self._seeds = self._seeds or peers
        return len(answered)

    async def _answering(self, peers: Sequence[Peer]) -> list[Peer]:
        pings = [(peer, Ping()) for peer in peers]
        for peer in peers:  # a user or our own past says so
            self._rpc.calls.lines.proves(peer.line)
            self._rpc.table.silences.forgive(peer)
        batch = RequestBatch(self._rpc.calls, pings, _SEED_ATTEMPTS)
        await batch.run()
        answered = [peer for peer, answer in zip(peers, batch.answers, strict=True) if answer]
        for peer in answered:
            self._rpc.table.newcomers.leave(peer)
        return answered

    async def run(self) -> None:
        """For as long as the node runs; ends only when cancelled."""
        # Nodes that start together, as after a power cut, must not do this in waves.
        await self._alarm.rest(MAINTENANCE_INTERVAL_S * self._rng.random())
        retry_s = _RETRY_FIRST_S
        while True:
            self._rpc.channel.flow.mark(self._clock.monotonic_s())
            await self._find_back()
            await self._refresh()
            pause_s = MAINTENANCE_INTERVAL_S
            if self._unheard():  # as when the line comes up later than the machine wakes
                pause_s = retry_s
                retry_s = min(2 * retry_s, MAINTENANCE_INTERVAL_S)
            else:
                retry_s = _RETRY_FIRST_S
            await self._alarm.rest(pause_s * self._rng.uniform(0.8, 1.2))

    def cut_off(self) -> bool:
        """Whether others were known once and nobody is now; they are asked again at once then."""
        if self._lost:
            self._alarm.ring()
        return self._lost

    def _unheard(self) -> bool:
        """Whether peers are known, and not one of them was heard for an hour."""
        table = self._rpc.table
        return 0 < len(table) == len(silent(table, self._clock.monotonic_s()))

    async def _find_back(self) -> None:
        """Ask those we know of, less and less often, while the table is empty."""
        retry_s = _RETRY_FIRST_S
        while self._lost:
            if await self._alarm.rest(retry_s * self._rng.uniform(0.8, 1.2)):
                retry_s = _RETRY_FIRST_S
            await self._enter([peer.contact for peer in self._seeds])
            retry_s = min(2 * retry_s, MAINTENANCE_INTERVAL_S)

    async def _refresh(self) -> None:
        """Drop records that expired, and bring up to date what of the table was not for an
        hour."""
        table = self._rpc.table
        await self._forget_ended()
        await self._upkeep.ping_silent()
        await self._upkeep.ask_clocks()
        if neighbours_due(table, self._clock.monotonic_s()):
            await self._lookups.closest(table.node.id, also=await self._named_by_a_seed())
        for index in buckets_due(table, self._clock.monotonic_s()):
            await self._upkeep.fill(index)

    async def _forget_ended(self) -> None:
        """Bit by bit, however many records end together."""
        keeper, held = self._rpc.keeper, -1
        while held != keeper.count:
            held = keeper.count
            keeper.tick()
            await asyncio.sleep(0)

    async def _named_by_a_seed(self) -> list[Peer]:
        """Our neighbours in the eyes of one that once let us in and that the table forgot: where
        the network was split for longer than tables remember, the only way to the other part."""
        forgotten = [peer for peer in self._seeds if peer not in self._rpc.table]
        if not forgotten:
            return []
        seed = self._rng.choice(forgotten)
        question = FindNode(self._rpc.table.node.id)
        batch = RequestBatch(self._rpc.calls, [(seed, question)], attempts=1)
        await batch.run()
        named = contacts_in(seed, batch.answers[0], self._rpc.table.crowds) or []
        return list(filter(self._rpc.calls.introductions().admits, named))
