"""Renew our provider records and contact record before they expire.

One unit at a time, in order, with a pause: a node that comes back announces what it holds
without a burst.  What nobody took is announced again soon, then less and less often.  Due times
live in memory: after a restart everything is announced again, since nobody knows how long the
node was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock, Entropy, Jump
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
    REPROVIDE_RETRY_FIRST_S,
    REPROVIDE_RETRY_MAX_S,
)
from dhtstore.tasks import Alarm
from dhtstore.trace import Tracer

_UNITS_AT_ONCE: Final = 64  # read from the ledger
_CONTACT: Final = b"contact"  # beside the names of units, which are longer


class Announcements(Protocol):
    """As much of the DHT as this duty needs."""

    async def publish_contact(self, timeout_s: float) -> int: ...

    async def provide(
        self,
        key: DhtKey,
        records: Sequence[tuple[ProviderRecord, ContactRecord]],
        *,
        timeout_s: float,
    ) -> Sequence[Published]: ...


class _All(Container[bytes]):
    def __contains__(self, name: object) -> bool:
        return True


_EVERYTHING: Final = _All()


@dataclass(frozen=True, slots=True)
class _Announced:
    """How many units an index node took, and the names of what none did."""

    units: int
    failed: set[bytes]


@dataclass(slots=True)
class Reprovide:
    """The duty of a node that is ``joined`` to a network."""

    identity: Identity
    disk: Disk
    dht: Announcements
    clock: Clock
    entropy: Entropy
    tracer: Tracer
    joined: asyncio.Event
    completeness: Completeness
    _alarm: Alarm = field(default_factory=Alarm)
    _all_due: bool = False
    _failed: set[bytes] = field(default_factory=set)

    async def run(self) -> None:
        """Forever: announce everything held, then rest until the next round is due."""
        await self.joined.wait()
        while True:
            jitter = 1 - REPROVIDE_JITTER * self.entropy.rng.random()
            due_s = self.clock.monotonic_s() + REPROVIDE_INTERVAL_S * jitter
            self._all_due = False
            await self._repeat(_EVERYTHING)
            await self._rest(due_s)
            await asyncio.sleep(REPROVIDE_PAUSE_S)

    def time_jumped(self, jump: Jump) -> None:
        """After a sleep what became due meanwhile is done now.  When the wall clock was set
        everything is due: what was signed by the old time, others may not believe."""
        self._all_due = self._all_due or bool(jump.set_s)
        self._alarm.ring()

    def readdressed(self) -> None:
        """Every record leads to where this node was: once the round that may be going on has
        ended, all are due."""
        self._all_due = True
        self._alarm.ring()

    async def announce(self, unit: Unit) -> bool:
        """Tell the network now of a unit that is kept here; whether an index node took that.  If
        none did, it is told again soon."""
        announced = await self._announce_unit(unit)
        if not announced:
            self.again_soon(unit)
        return announced

    def again_soon(self, unit: Unit) -> None:
        """Nobody took the record of a unit when it came to be kept: from here on it is due."""
        self._failed.add(unit.name)
        self._alarm.ring()

    async def announce_all(self) -> int:
        """Store the contact record and one provider record a unit; how many units an index node
        took.  Of the others the trace tells."""
        return (await self._announce(_EVERYTHING)).units

    async def _rest(self, due_s: float) -> None:
        """Until everything is due again; what failed is repeated in between."""
        retry_s = REPROVIDE_RETRY_FIRST_S
        while (left_s := self._left_s(due_s)) > 0:
            if await self._alarm.rest(min(left_s, retry_s) if self._failed else left_s):
                retry_s = REPROVIDE_RETRY_FIRST_S
            if self._failed and self._left_s(due_s) > 0:
                await self._repeat(self._failed)
                retry_s = min(2 * retry_s, REPROVIDE_RETRY_MAX_S)

    async def _repeat(self, names: Container[bytes]) -> None:
        self._failed = set()  # what fails meanwhile is added to the new one
        self._failed |= (await self._announce(names)).failed

    def _left_s(self, due_s: float) -> float:
        return 0.0 if self._all_due else due_s - self.clock.monotonic_s()

    async def _announce(self, names: Container[bytes]) -> _Announced:
        """Of the contact record and the units kept, those that ``names`` has.  A unit of which
        blocks are not here is passed over."""
        failed: set[bytes] = set()
        units_taken = incomplete = 0
        if _CONTACT in names:
            publish = self.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S)
            if not await self._taken("contact", publish):
                failed.add(_CONTACT)
        kept = self.completeness.kept(self.identity.now_unix_s())
        wanted = (unit for unit in kept if unit.name in names)
        while units := await self.disk.blocking.run(_some, wanted):
            for unit in units:
                if await self.completeness.lack(unit):
                    incomplete += 1
                elif await self._announce_unit(unit):
                    units_taken += 1
                else:
                    failed.add(unit.name)
                await asyncio.sleep(REPROVIDE_PAUSE_S)
        if names is _EVERYTHING:
            self.completeness.looked(incomplete)
        return _Announced(units_taken, failed)

    async def _announce_unit(self, unit: Unit) -> bool:
        return await self._taken(unit.name.hex(), self._provide(unit.key))

    async def _provide(self, key: DhtKey) -> int:
        records = [(self.identity.provider_record(key), self.identity.record())]
        [published] = await self.dht.provide(key, records, timeout_s=LOOKUP_TIMEOUT_S)
        return published.holders

    async def _taken(self, what: str, work: Coroutine[Any, Any, int]) -> bool:
        """Whether an index node took a record."""
        try:
            taken = await work > 0
        except DhtstoreError as error:
            self.tracer("reprovide.failed", what=what, error=str(error))
            return False
        if not taken:
            self.tracer("reprovide.refused", what=what)
        return taken


def _some(kept: Iterator[Unit]) -> list[Unit]:
    return list(islice(kept, _UNITS_AT_ONCE))
