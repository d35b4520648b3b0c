"""Renew our provider records and contact record before they expire.

One unit at a time, in order, with a pause: a node that comes back announces what it holds
without a burst.  Due times live in memory: after a restart everything is announced again, since
nobody knows how long the node was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock, Entropy
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
)
from dhtstore.trace import Tracer

_UNITS_AT_ONCE: Final = 64  # read from the ledger


class Announcements(Protocol):
    """As much of the DHT as this duty needs."""

    async def publish_contact(self, timeout_s: float) -> int: ...

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Reprovide:
    """The duty of a node that is ``joined`` to a network."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    dht: Announcements
    clock: Clock
    entropy: Entropy
    tracer: Tracer
    joined: asyncio.Event
    completeness: Completeness

    async def run(self) -> None:
        """Forever: announce everything held, then sleep until the next round is due."""
        while True:
            await self.joined.wait()
            started_s = self.clock.monotonic_s()
            await self.announce_all()
            jitter = 1 - REPROVIDE_JITTER * self.entropy.rng.random()
            spent_s = self.clock.monotonic_s() - started_s
            await asyncio.sleep(max(REPROVIDE_PAUSE_S, REPROVIDE_INTERVAL_S * jitter - spent_s))

    async def announce_all(self) -> int:
        """Store the contact record and one provider record a unit; how many units were
        announced.

        A unit of which blocks are not here is passed over.  One that no index node takes now is
        tried again in the next round; the trace says so.
        """
        await self._try("contact", self.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S))
        announced = incomplete = 0
        kept = self.completeness.kept(self.identity.now_unix_s())
        while units := await self.disk.blocking.run(_some, kept):
            for unit in units:
                if await self.completeness.lack(unit):
                    incomplete += 1
                else:
                    announced += await self._announce(unit)
                await asyncio.sleep(REPROVIDE_PAUSE_S)
        self.completeness.looked(incomplete)
        return announced

    async def _announce(self, unit: Unit) -> bool:
        records = [(self.identity.provider_record(unit.key), self.identity.record())]
        provide = self.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
        return await self._try(unit.name.hex(), provide)

    async def _try(self, what: str, work: Coroutine[Any, Any, int]) -> bool:
        try:
            return await work > 0
        except DhtstoreError as error:
            self.tracer("reprovide.failed", what=what, error=str(error))
            return False


def _some(kept: Iterator[Unit]) -> list[Unit]:
    return list(islice(kept, _UNITS_AT_ONCE))
