"""Renew our provider records and contact record before they expire.

The units that are kept are swept in the order of their keys, so that few lookups serve all of them
(``dht.core.sweeping``), and a cycle spreads over the interval (``announcing.progress``).  How far
that is outlives a restart.  This node's own come first, and the first of each stranger's origin,
so that nobody who has many keeps others waiting.  What nobody took is announced again soon, then
less and less often, also while a sweep is going on.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Final

from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import dht_key
from dhtstore.model.unit import Unit, unit_text
from dhtstore.net.ports import Clock, Entropy, Jump
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.announcing.line import KeyLine
from dhtstore.node.duties.announcing.lines import KeyLines
from dhtstore.node.duties.announcing.progress import CYCLE_S
from dhtstore.node.duties.announcing.standing import AnnouncingStanding
from dhtstore.node.duties.announcing.teller import Announcements, Sight, Teller
from dhtstore.node.identity import Identity
from dhtstore.node.traffic.retries import Retries
from dhtstore.node.warnings import Warnings
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
    REPROVIDE_RETRY_FIRST_S,
    REPROVIDE_RETRY_MAX_S,
    SWEPT_AT_ONCE,
)
from dhtstore.tasks import Alarm
from dhtstore.trace import Tracer

_LOOK_S: Final = 3600.0  # between two looks at what there is, while nothing is due
_CONTACT: Final = b"contact"  # beside the names of units, which are longer


def _new_retries() -> Retries:
    return Retries(REPROVIDE_RETRY_FIRST_S, REPROVIDE_RETRY_MAX_S)


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
    warnings: Warnings = field(default_factory=Warnings)
    quiet: set[bytes] = field(default_factory=set)  # names that are kept and told no more
    standing: AnnouncingStanding = field(init=False)
    _teller: Teller = field(init=False)
    _lines: KeyLines = field(init=False)
    _alarm: Alarm = field(default_factory=Alarm)
    _retries: Retries = field(default_factory=_new_retries)
    _silence: Retries = field(default_factory=_new_retries)  # of everybody
    _sight: Sight = field(default_factory=Sight)
    _all_due: bool = False
    _sweeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    _contact_due_s: float = -math.inf
    _look_due_s: float = -math.inf

    def __post_init__(self) -> None:
        begin_s = CYCLE_S * self.entropy.rng.random()
        parts = self.identity, self.dht, self.clock, self.tracer, self.completeness
        self._teller = Teller(*parts, self._retries, quiet=self.quiet)
        self._lines = KeyLines(self._teller, begin_s, self.warnings)
        self.standing = AnnouncingStanding(self._lines.all, self._teller, self.clock, self.warnings)

    async def run(self) -> None:
        """Forever: announce what is due, then rest until something is."""
        await self.joined.wait()
        if not self._all_due:
            await self._lines.restore()
        while True:
            if self._all_due:
                self._forget()
            if self._contact_due_s <= self.clock.monotonic_s():
                await self._announce_contact()
            await self._try_again()
            if self._look_due_s <= self.clock.monotonic_s():
                await self._sweep()
            self.standing.look()
            await self._alarm.rest(self._rest_s())
            await asyncio.sleep(REPROVIDE_PAUSE_S)

    def time_jumped(self, jump: Jump) -> None:
        """After a sleep what became due meanwhile is done now.  When the wall clock was set
        everything is due: what was signed by the old time, others may not believe."""
        self._all_due = self._all_due or bool(jump.set_s)
        self._hurry()

    def readdressed(self) -> None:
        """Every record leads to where this node was: all are due."""
        self._all_due = True
        self._hurry()

    def _hurry(self) -> None:
        now = self.clock.monotonic_s()
        self._retries.hurry(now)
        self._silence.hurry(now)
        self._look_due_s = -math.inf
        self._alarm.ring()

    @property
    def lookups(self) -> int:
        """How many announcing has taken so far."""
        return self._teller.lookups

    async def announce(self, unit: Unit) -> bool:
        """Tell the network now of a unit that is kept here; whether an index node took that.  If
        none did, it is told again soon."""
        records = [(self.identity.provider_record(unit.key), self.identity.record())]
        try:
            [told] = await self.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
        except DhtstoreError as error:
            self.tracer("reprovide.failed", what=unit_text(unit.name), error=str(error))
            self.again_soon(unit)
            return False
        if not self._teller.tried(unit.name, told):
            self.again_soon(unit)
        return bool(told.holders)

    def again_soon(self, unit: Unit) -> None:
        """Nobody took the record of a unit when it came to be kept: from here on it is due, also
        while a sweep is going on."""
        self._retries.soon(unit.name)
        self._alarm.ring()

    async def announce_all(self) -> int:
        """Store the contact record and one provider record a unit, all of them now; how many units
        an index node took.  Of the others the trace tells.  A unit of which blocks are not here is
        passed over, and so are all of its name."""
        self._forget()
        await self._announce_contact()
        taken = self._teller.taken
        await self._sweep()
        return self._teller.taken - taken

    def _forget(self) -> None:
        self._all_due = False
        self._contact_due_s = self._look_due_s = -math.inf
        self._lines.forget()

    # --- the sweep -------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Announce what is due, by key, this node's own first."""
        async with self._sweeping:
            teller, began = self._teller, (self._teller.taken, self._teller.lookups)
            await self._lines.look()
            answered = [await self._sweep_line(line) for line in self._lines.all]
            if all(answered):
                self._lines.whole_cycle = True
                self._silence.done(_CONTACT)
                self._lines.tell_incomplete()
            else:
                self._silence.failed(_CONTACT, self.clock.monotonic_s())
            taken, lookups = teller.taken - began[0], teller.lookups - began[1]
            if lookups or not all(answered):
                self.tracer("reprovide.round", taken=taken, lookups=lookups)
            now = self.clock.monotonic_s()
            silence_s = 0.0 if all(answered) else self._silence.wait_s(now)
            self._look_due_s = min(max(self._lines.next_due_s(), now + silence_s), now + _LOOK_S)
            self._lines.drop()
            await self._lines.save()

    async def _sweep_line(self, line: KeyLine) -> bool:
        """False once nobody answers.  What is nearly due is announced where that costs no lookup:
        so a region is told as one."""
        pending: list[int] = []
        for part in list(line.counts):
            now = self.clock.monotonic_s()
            if not line.due(part, now):
                if not line.nearly_due(part, now):
                    continue
                if not self._teller.sees(line.of(part), self._sight):
                    if not await self._tell(line, pending):
                        return False
                    pending = []
                    if not self._teller.sees(line.of(part), self._sight):
                        continue
            pending.append(part)
            if sum(line.counts[each] for each in pending) >= SWEPT_AT_ONCE:
                if not await self._tell(line, pending):
                    return False
                pending = []
        return await self._tell(line, pending)

    async def _tell(self, line: KeyLine, parts: list[int]) -> bool:
        now = self.clock.monotonic_s()
        names = [name for part in parts for name in line.of(part)]
        if not await self._teller.tell(names, self._sight):
            return False
        for part in parts:
            line.progress.told(part, now)
        await self._lines.save(now_and_then=True)
        await self._try_again()
        return True

    # --- what failed, and where this node is -------------------------------------------------

    async def _try_again(self) -> None:
        """What is to be tried again and due, some of it."""
        names: list[bytes] = []
        while len(names) < SWEPT_AT_ONCE:
            name = self._retries.pop(self.clock.monotonic_s())
            if name is None:
                break
            if name == _CONTACT:
                await self._announce_contact()
            else:
                names.append(name)
        names.sort(key=dht_key)
        if not await self._teller.tell(names, Sight()):
            for name in names:
                self._retries.failed(name, self.clock.monotonic_s())

    async def _announce_contact(self) -> None:
        jitter = 1 - REPROVIDE_JITTER * self.entropy.rng.random()
        now = self.clock.monotonic_s()
        self._contact_due_s = now + REPROVIDE_INTERVAL_S * jitter
        try:
            taken = await self.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S)
        except DhtstoreError as error:
            self.tracer("reprovide.failed", what="contact", error=str(error))
            taken = 0
        if taken:
            self._retries.done(_CONTACT)
        else:
            self._retries.failed(_CONTACT, self.clock.monotonic_s())

    def _rest_s(self) -> float:
        now = self.clock.monotonic_s()
        due_s = 0.0 if self._all_due else min(self._look_due_s, self._contact_due_s) - now
        return max(0.0, min(due_s, self._retries.wait_s(now)))
