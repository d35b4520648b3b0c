"""Blocks here that are not any more what they were: found by whoever got them, and taken back.

A peer that got wrong bytes says so (``Wrong``), and serving may find a record that is damaged.  The
block is read again and hashed; if it has rotted it is served to nobody, and what no longer is here
whole is announced no longer.  Whoever says so would decide how often this node looks: so it looks
seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from dhtstore.config import counted
from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import BlockDamaged, BlockMissing, DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import DhtKey
from dhtstore.model.unit import Unit
from dhtstore.net.accepting import Rations
from dhtstore.net.ports import Clock
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.warnings import Warnings
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_PAUSE_S,
    WRONG_AT_ONCE,
    WRONG_AT_ONCE_PER_ORIGIN,
    WRONG_PER_S,
    WRONG_PER_S_PER_ORIGIN,
    WRONG_SURVEY_PAUSE_S,
)
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.tasks import Alarm, Supervisor

_WHAT: Final = "blocks"
_UNITS_AT_ONCE: Final = 64  # read from the ledger


class Withdrawals(Protocol):
    """As much of the DHT as this duty needs."""

    async def withdraw(self, key: DhtKey, *, timeout_s: float) -> Published: ...


class Announcing(Protocol):
    """As much of reproviding as this duty needs."""

    def again_soon(self, unit: Unit) -> None: ...


@dataclass(slots=True)
class Rot:
    """``rotten`` are the multihashes of blocks that are served no more until they are whole again.
    ``tasks`` owns the looks at single blocks."""

    identity: Identity
    completeness: Completeness
    dht: Withdrawals
    clock: Clock
    warnings: Warnings
    tasks: Supervisor
    reprovide: Announcing
    rotten: set[bytes] = field(default_factory=set)
    _rations: Rations = field(init=False)
    _looking: set[Link] = field(default_factory=set)
    _withdrawn: set[tuple[bytes, bool]] = field(default_factory=set)  # names, and kinds of unit
    _alarm: Alarm = field(default_factory=Alarm)

    def __post_init__(self) -> None:
        each = (WRONG_AT_ONCE_PER_ORIGIN, WRONG_PER_S_PER_ORIGIN)
        self._rations = Rations(each, (WRONG_AT_ONCE, WRONG_PER_S), self.clock.monotonic_s())

    async def begin(self) -> None:
        """Take over what was found before this start."""
        damage = self.completeness.ledger.damage
        self.rotten |= await self.completeness.disk.blocking.run(damage.found)
        self._tell()

    def verified(self, damaged: Collection[Cid]) -> None:
        """All blocks were read, and these have rotted."""
        self.rotten.clear()
        self.rotten.update(cid.multihash for cid in damaged)
        self._tell()
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
        """Forever: after a find look which units are not whole any more, and take their records
        back."""
        while True:
            rung = await self._alarm.rest(WRONG_SURVEY_PAUSE_S)
            if rung:
                try:
                    await self._survey()
                except DhtstoreError:
                    self._alarm.ring()  # it is not over: who begins this duty again takes it up
                    raise
                await asyncio.sleep(WRONG_SURVEY_PAUSE_S)

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
        run, incomplete = self.completeness.disk.blocking.run, 0
        kept = self.completeness.kept(self.identity.now_unix_s())
        while units := await run(_some, kept):
            for unit in units:
                if await self.completeness.lack(unit):
                    incomplete += 1
                    await self._withdraw(unit)
                else:
                    self._whole(unit)
                await asyncio.sleep(REPROVIDE_PAUSE_S)
        self.completeness.looked(incomplete)

    def _tell(self) -> None:
        if not self.rotten:
            self.warnings.over(_WHAT)
            return
        count = len(self.rotten)
        blocks = counted(count, "block here has", "blocks here have")
        self.warnings.tell(
            _WHAT,
            f"{blocks} rotted and {'is' if count == 1 else 'are'} served to nobody: `dhtstore"
            " verify` tells what that belongs to and what mends it",
        )

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


def has_rotted(store: BlockStore, cid: Cid) -> bool:
    """Whether a block that is held is not what its name says; for worker threads."""
    try:
        store.get(cid)
    except BlockDamaged:
        return True
    except BlockMissing:
        return store.has(cid)  # its pack is gone
    return False


def _some(kept: Iterator[Unit]) -> list[Unit]:
    return list(islice(kept, _UNITS_AT_ONCE))
