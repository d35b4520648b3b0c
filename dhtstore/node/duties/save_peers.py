"""Write down whom this node knows, for its next start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.net.ports import Blocking, Clock
from dhtstore.node.warnings import Warnings
from dhtstore.params import PEERS_SAVE_FIRST_S, PEERS_SAVE_INTERVAL_S
from dhtstore.store.ledger.peers import Peers
from dhtstore.tasks import Alarm


class RoutingTable(Protocol):
    """Whoever knows peers: as much of the DHT as saving them needs."""

    def packed_contacts(self) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class SavePeers:
    """A young node learns fast and may be killed at any time: it saves early, then less often."""

    table: RoutingTable
    peers: Peers
    blocking: Blocking
    clock: Clock
    warnings: Warnings
    alarm: Alarm = field(default_factory=Alarm)

    def __post_init__(self) -> None:
        self.warnings.can_be_tried("save-peers", self.save)

    async def run(self) -> None:
        """Forever."""
        pause_s = PEERS_SAVE_FIRST_S
        while True:
            await self._until(self.clock.monotonic_s() + pause_s)
            await self.save()
            pause_s = min(2 * pause_s, PEERS_SAVE_INTERVAL_S)

    async def _until(self, due_s: float) -> None:
        """By the clock that goes on while the machine sleeps."""
        while (left_s := due_s - self.clock.monotonic_s()) > 0:
            await self.alarm.rest(left_s)

    def time_jumped(self) -> None:
        """The machine was asleep: what became due meanwhile is done now."""
        self.alarm.ring()

    async def save(self) -> None:
        """Nothing is written while nobody is known: what was saved before may still help.  A disk
        that takes it not is told; the next time is soon enough."""
        known = self.table.packed_contacts()
        if not known:
            return
        with self.warnings.tolerated("save-peers", "known peers cannot be written down"):
            await self.blocking.run(self.peers.save, known)
