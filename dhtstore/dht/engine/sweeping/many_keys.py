"""The part of the service that is about many keys at once, and about what it counts."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.dht.core.idle.flow import FlowRates
from dhtstore.dht.core.record_rules import Published
from dhtstore.dht.core.sweeping.seen import SeenNodes
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.dht.engine.sweeping.sweeper import Sweeper
from dhtstore.model.identity import DhtKey


class ManyKeys:
    """Of ``DhtService``."""

    rpc: NodeRpc
    sweeper: Sweeper

    async def explore(self, key: DhtKey, *, timeout_s: float) -> SeenNodes:
        """Who is around ``key``, to provide many keys there; raises as ``provide``."""
        return await self.sweeper.explore(key, timeout_s=timeout_s)

    async def provide_many(
        self, seen: SeenNodes, keys: Sequence[DhtKey], *, timeout_s: float
    ) -> tuple[list[Published], SeenNodes]:
        """Store a fresh record of this node for each of ``keys``, which ``seen`` covers, at the K
        nodes closest to it; what became of each, in order, and what is left of that."""
        return await self.sweeper.provide(seen, keys, timeout_s)

    def traffic(self) -> FlowRates | None:
        """Datagrams and bytes a second, over the last ten to thirty minutes; None in the first
        second."""
        return self.rpc.channel.rates()

    @property
    def counters(self) -> dict[str, int]:
        """What was refused, dropped and repeated, by name."""
        return dict(self.rpc.channel.counters)
