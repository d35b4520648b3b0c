"""Entering the network, and the loop that keeps a node in it: refreshing its table on time, and
finding back when it knows nobody any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.refresh import buckets_due, buckets_with_room, neighbours_due
from dhtstore.dht.engine.crawl import RequestBatch, contacts_in
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.dht.engine.upkeep import Upkeep
from dhtstore.model.contact import Contact, routable
from dhtstore.params import MAINTENANCE_INTERVAL_S
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
        self._met_nobody = asyncio.Event()

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Meet the network through ``contacts``; how many of them answered."""
        table = self._rpc.table
        peers = [peer_of(c) for c in contacts[:_SEEDS_MAX] if routable(c.address)]
        peers = [peer for peer in peers if peer.id != table.node.id]
        answered = await self._answering(peers)
        if answered:
            self._seeds = answered
            await self._lookups.closest(table.node.id)
            for index in () if self._ephemeral else buckets_with_room(table):
                await self._upkeep.fill(index)
        elif peers and not len(table):
            self._seeds = self._seeds or peers
            self._met_nobody.set()
        return len(answered)

    async def _answering(self, peers: Sequence[Peer]) -> list[Peer]:
        pings = [(peer, Ping()) for peer in peers]
        batch = RequestBatch(self._rpc.calls, pings, _SEED_ATTEMPTS)
        await batch.run()
        return [peer for peer, answer in zip(peers, batch.answers, strict=True) if answer]

    async def run(self) -> None:
        """For as long as the node runs; ends only when cancelled."""
        # Nodes that start together, as after a power cut, must not do this in waves.
        await self._rest(MAINTENANCE_INTERVAL_S * self._rng.random())
        while True:
            await self._find_back()
            await self._refresh()
            await self._rest(MAINTENANCE_INTERVAL_S * self._rng.uniform(0.8, 1.2))

    def cut_off(self) -> bool:
        """Whether others were known once and nobody is now; they are asked again at once then."""
        lost = bool(self._seeds) and not len(self._rpc.table)
        if lost:
            self._met_nobody.set()
        return lost

    async def _rest(self, pause_s: float) -> None:
        """Until maintenance is due, or a bootstrap met nobody."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._met_nobody.wait()

    async def _find_back(self) -> None:
        """Ask those we know of, less and less often, while the table is empty."""
        retry_s = _RETRY_FIRST_S
        while self._seeds and not len(self._rpc.table):
            await asyncio.sleep(retry_s * self._rng.uniform(0.8, 1.2))
            await self.bootstrap([peer.contact for peer in self._seeds])
            retry_s = min(2 * retry_s, MAINTENANCE_INTERVAL_S)
        self._met_nobody.clear()

    async def _refresh(self) -> None:
        """Drop records that expired, and bring up to date what of the table was not for an
        hour."""
        table = self._rpc.table
        self._rpc.keeper.tick()
        await self._upkeep.ping_silent()
        if neighbours_due(table, self._clock.monotonic_s()):
            await self._lookups.closest(table.node.id, also=await self._named_by_a_seed())
        for index in buckets_due(table, self._clock.monotonic_s()):
            await self._upkeep.fill(index)

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
        return contacts_in(seed, batch.answers[0]) or []
