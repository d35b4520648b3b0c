"""Renew our provider records and contact record before they expire.

A few units at once, each after a pause: a node that comes back announces what it holds without a
burst.  Its own come first, then strangers' in turns of their origins, so that nobody who has many
keeps others waiting.  What nobody took is announced again soon, then less and less often, also
while a round is going on.  Due times live in memory: after a restart everything is announced again,
since nobody knows how long the node was away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol

from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.unit import Unit, unit_text
from dhtstore.net.ports import Blocking, Clock, Entropy, Jump
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.retries import Retries
from dhtstore.node.identity import Identity
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
    REPROVIDE_RETRY_FIRST_S,
    REPROVIDE_RETRY_MAX_S,
    REPROVIDES_AT_ONCE,
)
from dhtstore.tasks import Alarm, run_all
from dhtstore.trace import Tracer

_NAMES_AT_ONCE: Final = 16  # read from the ledger
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


class _Round:
    """Everything kept, in turn, for several who take from it: a few at a time from the ledger."""

    def __init__(self, kept: Iterator[list[Unit]], blocking: Blocking) -> None:
        self._kept, self._blocking = kept, blocking
        self._read: deque[list[Unit]] = deque()
        self._reading = asyncio.Lock()
        self.taken = self.incomplete = 0  # units: by an index node, and that lack blocks

    async def next(self) -> list[Unit]:
        """Units of one name; none at the end."""
        async with self._reading:
            while not self._read:
                some = await self._blocking.run(_some, self._kept)
                if not some:
                    return []
                self._read.extend(filter(None, some))  # under some names nothing is kept any more
            return self._read.popleft()


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
    _retries: Retries = field(
        default_factory=lambda: Retries(REPROVIDE_RETRY_FIRST_S, REPROVIDE_RETRY_MAX_S)
    )
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Forever: announce everything held, then rest until the next round is due."""
        await self.joined.wait()
        while True:
            jitter = 1 - REPROVIDE_JITTER * self.entropy.rng.random()
            due_s = self.clock.monotonic_s() + REPROVIDE_INTERVAL_S * jitter
            self._all_due = False
            await self.announce_all()
            await self._rest(due_s)
            await asyncio.sleep(REPROVIDE_PAUSE_S)

    def time_jumped(self, jump: Jump) -> None:
        """After a sleep what became due meanwhile is done now.  When the wall clock was set
        everything is due: what was signed by the old time, others may not believe."""
        self._all_due = self._all_due or bool(jump.set_s)
        self._retries.hurry(self.clock.monotonic_s())
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
        """Nobody took the record of a unit when it came to be kept: from here on it is due, also
        while a round is going on."""
        self._retries.soon(unit.name)
        self._alarm.ring()

    async def announce_all(self) -> int:
        """Store the contact record and one provider record a unit; how many units an index node
        took.  Of the others the trace tells.  A unit of which blocks are not here is passed over,
        and so are all of its name."""
        run, completeness = self.disk.blocking.run, self.completeness
        await run(completeness.ledger.claims.settle)
        await self._announce_contact()
        one_round = _Round(completeness.in_turn(self.identity.now_unix_s()), self.disk.blocking)
        await self._at_once(partial(self._take_turns, one_round))
        completeness.looked(one_round.incomplete)
        self.tracer("reprovide.round", taken=one_round.taken, incomplete=one_round.incomplete)
        return one_round.taken

    async def _at_once(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await run_all([work] * REPROVIDES_AT_ONCE, REPROVIDES_AT_ONCE)

    async def _take_turns(self, one_round: _Round) -> None:
        """What is to be tried again comes in between, as often as what is in line."""
        while units := await one_round.next():
            lacking = await self._lacking(units)
            one_round.incomplete += lacking
            if not lacking and await self._announce_name(units[0]):
                one_round.taken += len(units)
            await self._try_again()

    async def _rest(self, due_s: float) -> None:
        """Until everything is due again; what failed is repeated in between."""
        while (left_s := self._left_s(due_s)) > 0:
            wait_s = self._retries.wait_s(self.clock.monotonic_s())
            if wait_s > 0:
                await self._alarm.rest(min(left_s, wait_s))
            if self._left_s(due_s) > 0:
                await self._at_once(self._try_all_again)

    async def _try_all_again(self) -> None:
        while await self._try_again():
            pass

    async def _try_again(self) -> bool:
        """Whether there was anything to try again."""
        name = self._retries.pop(self.clock.monotonic_s())
        if name is None:
            return False
        if name == _CONTACT:
            await self._announce_contact()
            return True
        now_unix_s = self.identity.now_unix_s()
        units = await self.disk.blocking.run(self.completeness.under, name, now_unix_s)
        if units and not await self._lacking(units):
            await self._announce_name(units[0])
        else:
            self._retries.done(name)
        return True

    def _left_s(self, due_s: float) -> float:
        return 0.0 if self._all_due else due_s - self.clock.monotonic_s()

    async def _lacking(self, units: Sequence[Unit]) -> int:
        """How many of them are not here whole; one after another, with a pause, so that neither
        the disk nor the network sees a burst."""
        async with self._starting:
            await asyncio.sleep(REPROVIDE_PAUSE_S)
            return sum([bool(await self.completeness.lack(unit)) for unit in units])

    async def _announce_contact(self) -> None:
        publish = self.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S)
        self._tried(_CONTACT, await self._taken("contact", publish))

    async def _announce_name(self, unit: Unit) -> bool:
        taken = await self._announce_unit(unit)
        self._tried(unit.name, taken)
        return taken

    def _tried(self, name: bytes, taken: bool) -> None:
        if taken:
            self._retries.done(name)
        else:
            self._retries.failed(name, self.clock.monotonic_s())

    async def _announce_unit(self, unit: Unit) -> bool:
        return await self._taken(unit_text(unit.name), self._provide(unit.key))

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


def _some(kept: Iterator[list[Unit]]) -> list[list[Unit]]:
    return list(islice(kept, _NAMES_AT_ONCE))
