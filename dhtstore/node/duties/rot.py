"""Blocks here that are not any more what they were: found by whoever got them, and taken back.

A peer that got wrong bytes says so (``Wrong``), and serving may find a record that is damaged.  The
block is read again and hashed; if it has rotted it is served to nobody, and what no longer is here
whole is announced no longer.  Whoever says so would decide how often this node looks: so it looks
seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from dhtstore.config import counted
from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.identity import DhtKey
from dhtstore.model.unit import Unit
from dhtstore.net.accepting import Rations
from dhtstore.net.ports import Clock
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.scrubbing.damage_places import DamagedPlace, damage_places
from dhtstore.node.scrubbing.reading import has_rotted
from dhtstore.node.warnings import Warnings
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    MEND_RETRY_FIRST_S,
    MEND_RETRY_MAX_S,
    REPROVIDE_PAUSE_S,
    WRONG_AT_ONCE,
    WRONG_AT_ONCE_PER_ORIGIN,
    WRONG_PER_S,
    WRONG_PER_S_PER_ORIGIN,
    WRONG_SURVEY_PAUSE_S,
)
from dhtstore.tasks import Alarm, Supervisor

_WHAT: Final = "blocks"
_UNITS_AT_ONCE: Final = 64  # read from the ledger
_LACKING_MAX: Final = 1000  # units in which damaged blocks are sought
_LOOKED_AGAIN_MAX: Final = 1000  # damaged blocks, before all units are looked at


class Withdrawals(Protocol):
    """As much of the DHT as this duty needs."""

    async def withdraw(self, key: DhtKey, *, timeout_s: float) -> Published: ...


class Announcing(Protocol):
    """As much of reproviding as this duty needs."""

    def again_soon(self, unit: Unit) -> None: ...


@dataclass(slots=True)
class Rot:
    """``rotten`` are the multihashes of blocks that are served no more until they are whole again,
    ``places`` what they belonged to at the last look at all units.  ``tasks`` owns the looks at
    single blocks.  ``mend`` fetches what a unit lacks, and says whether all of it is here then."""

    identity: Identity
    completeness: Completeness
    dht: Withdrawals
    clock: Clock
    warnings: Warnings
    tasks: Supervisor
    reprovide: Announcing
    mend: Callable[[Unit], Awaitable[bool]]
    joined: asyncio.Event
    rotten: set[bytes] = field(default_factory=set)
    places: list[DamagedPlace] = field(default_factory=list)
    _rations: Rations = field(init=False)
    _looking: set[Link] = field(default_factory=set)
    _withdrawn: set[tuple[bytes, bool]] = field(default_factory=set)  # names, and kinds of unit
    _lacking: list[Unit] = field(default_factory=list)  # the first, by the last look at all units
    _asked: bool = False  # to look at all units
    _survey_due_s: float = 0.0  # not before
    _retry_due_s: float = 0.0
    _retry_s: float = MEND_RETRY_FIRST_S
    _alarm: Alarm = field(default_factory=Alarm)

    def __post_init__(self) -> None:
        each = (WRONG_AT_ONCE_PER_ORIGIN, WRONG_PER_S_PER_ORIGIN)
        self._rations = Rations(each, (WRONG_AT_ONCE, WRONG_PER_S), self.clock.monotonic_s())

    async def begin(self) -> None:
        """Take over what was found before this start."""
        damage = self.completeness.ledger.damage
        self.rotten |= await self.completeness.disk.blocking.run(damage.found)
        self._tell()

    def verified(self, damaged: Collection[Cid], places: list[DamagedPlace]) -> None:
        """All blocks were read, and these have rotted."""
        self.rotten.clear()
        self.rotten.update(cid.multihash for cid in damaged)
        self.places = places
        self._tell()
        self._alarm.ring()

    def look(self) -> None:
        """Something that is kept is not here."""
        self._alarm.ring()

    def reported(self, link: Link, raw: bytes) -> None:
        """A peer says that it got wrong bytes for a CID: look, if it is its turn."""
        if link in self._looking or not self._may_look(link.origin):
            return
        try:
            cid = Cid.decode(raw)
        except DhtstoreError:
            return
        self._looking.add(link)
        looking = self.tasks.spawn(self._look(cid), "look-at-block")
        looking.add_done_callback(lambda _: self._looking.discard(link))

    async def found(self, cid: Cid) -> None:
        """It has rotted."""
        disk, damage = self.completeness.disk, self.completeness.ledger.damage
        if cid.multihash in self.rotten:
            return
        self.rotten.add(cid.multihash)
        self._tell()
        with self.warnings.tolerated("damage", "what is damaged here cannot be written down"):
            await disk.blocking.run(damage.record, cid.multihash)
        self._alarm.ring()

    def renewed(self, multihashes: Collection[bytes]) -> None:
        """Whole copies of these took the place of those here; in a worker."""
        self.rotten.difference_update(multihashes)
        with suppress(DhtstoreError):  # the ledger says where to look, and no more
            self.completeness.ledger.damage.forget(multihashes)

    def healed(self) -> None:
        """As ``renewed`` said, on the loop."""
        self._tell()
        self._alarm.ring()

    async def run(self) -> None:
        """Forever: after a find look which units are not whole any more, fetch what they lack, and
        take the records of those back that nobody makes whole; try again, less and less often."""
        await self.joined.wait()
        while True:
            self._asked |= await self._alarm.rest(self._rest_s())
            now_s = self.clock.monotonic_s()
            if self._asked and now_s >= self._survey_due_s:
                await self._survey()
                self._asked, self._retry_s = False, MEND_RETRY_FIRST_S
                self._survey_due_s = self.clock.monotonic_s() + WRONG_SURVEY_PAUSE_S
            elif self._lacking and now_s >= self._retry_due_s:
                await self._try_again()
                self._retry_s = min(2 * self._retry_s, MEND_RETRY_MAX_S)
            else:
                continue
            self._retry_due_s = self.clock.monotonic_s() + self._retry_s

    def _rest_s(self) -> float:
        due_s = [self._survey_due_s] if self._asked else []
        due_s += [self._retry_due_s] if self._lacking else []
        now_s = self.clock.monotonic_s()
        return max(0.0, min(due_s, default=now_s + WRONG_SURVEY_PAUSE_S) - now_s)

    def _may_look(self, origin: str) -> bool:
        if self._rations.wait_s(origin, self.clock.monotonic_s()):
            return False
        self._rations.take(origin)
        return True

    async def _look(self, cid: Cid) -> None:
        disk = self.completeness.disk
        if await disk.blocking.run(has_rotted, disk.store, cid):
            await self.found(cid)

    async def _survey(self) -> None:
        """A unit at a time, with a pause after each: commands come first."""
        complete, run = self.completeness, self.completeness.disk.blocking.run
        await run(self._look_again)
        self._lacking, incomplete = [], 0
        kept = complete.kept(self.identity.now_unix_s())
        while units := await run(_some, kept):
            for unit in units:
                if not await self._is_whole(unit):
                    incomplete += 1
                    self._lacking += [unit] if incomplete <= _LACKING_MAX else []
                await asyncio.sleep(REPROVIDE_PAUSE_S)
        await self._looked(incomplete)

    async def _try_again(self) -> None:
        """With those units that were not made whole before."""
        before, self._lacking = self._lacking, []
        for unit in before:
            if not await self._is_whole(unit):
                self._lacking.append(unit)
        more = self.completeness.incomplete - len(before)
        await self._looked(len(self._lacking) + max(0, more))
        if more > 0 and not self._lacking:
            self._alarm.ring()  # there are some that were too many to remember

    async def _looked(self, incomplete: int) -> None:
        complete = self.completeness
        if incomplete != complete.incomplete:
            complete.looked(incomplete)
        run, rotten = complete.disk.blocking.run, set(self.rotten)
        self.places = await run(
            damage_places, complete.disk.store, complete.ledger, rotten, self._lacking
        )
        self._tell()

    async def _is_whole(self, unit: Unit) -> bool:
        """By now; whatever it is, that is announced and written down."""
        why = await self._lack(unit)
        if why:
            await self._withdraw(unit)
        else:
            self._whole(unit)
        complete, now_unix_s = self.completeness, self.identity.now_unix_s()
        await complete.disk.blocking.run(complete.write_down, unit, why, now_unix_s)
        return not why

    async def _lack(self, unit: Unit) -> str:
        """Why the unit is not here whole, though it was tried to make it so."""
        why = await self.completeness.lack(unit)
        if why and await self.mend(unit):
            return await self.completeness.lack(unit)
        return why

    def _look_again(self) -> None:
        """What could not be read for a while, or is gone, is not damaged any more; in a worker."""
        store = self.completeness.disk.store
        some = [Cid(bytes((1, RAW)) + key) for key in sorted(self.rotten)[:_LOOKED_AGAIN_MAX]]
        if well := [cid.multihash for cid in some if not has_rotted(store, cid)]:
            self.renewed(well)

    def _tell(self) -> None:
        if self.rotten:
            self.warnings.tell(_WHAT, _told(len(self.rotten)))
        else:
            self.warnings.over(_WHAT)

    def _whole(self, unit: Unit) -> None:
        """What was taken back is announced again."""
        if (unit.name, unit.spine) in self._withdrawn:
            self._withdrawn.discard((unit.name, unit.spine))
            self.reprovide.again_soon(unit)

    async def _withdraw(self, unit: Unit) -> None:
        if (unit.name, unit.spine) in self._withdrawn:
            return
        with self.warnings.tolerated(
            "withdraw", "a record of what rotted here cannot be withdrawn"
        ):
            await self.dht.withdraw(unit.key, timeout_s=LOOKUP_TIMEOUT_S)
            self._withdrawn.add((unit.name, unit.spine))
            return
        self._alarm.ring()  # again with the next look


def _told(count: int) -> str:
    blocks = counted(count, "block here has", "blocks here have")
    return (
        f"{blocks} rotted and {'is' if count == 1 else 'are'} served to nobody until another holder"
        " gives it: `dhtstore verify` tells what that belongs to and what mends it"
    )


def _some(kept: Iterator[Unit]) -> list[Unit]:
    return list(islice(kept, _UNITS_AT_ONCE))
