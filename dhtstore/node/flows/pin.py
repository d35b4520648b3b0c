"""pin: keep a root here for its own sake.

data path: root -> units -> blocks fetched and fsynced -> pin -> provider records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.copies.receive import Keeper, receive_unit
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.flows.staging import Staging
from dhtstore.operations.keeping import PinInfo
from dhtstore.operations.operation import Progress, Watch
from dhtstore.store.ledger.pins import Pins


@dataclass(frozen=True, slots=True)
class Pinning:
    """The pins that this machine's user sets by hand.

    ``announce`` tells the network of a unit, at once if it can, and never fails."""

    disk: Disk
    pins: Pins
    staging: Staging
    announce: Callable[[Unit], Awaitable[object]]

    async def add(self, session: FetchSession, root: Cid, name: str, progress: Watch) -> PinInfo:
        """Bring all of it into the store, pin it and announce it.

        Raises NoRoom and what ``fetch`` raises; what came before is picked up by the next try.
        """
        async with self.staging:
            units = await session.units(root)
            await _bring(session, units, progress)
            await self.disk.blocking.run(self.pins.add, root, name, "user", units)
        for unit in units:
            await self.announce(unit)
        return PinInfo(str(root), "user", name)

    async def remove(self, root: Cid) -> PinInfo:
        """Raises NotHere if it was not pinned by hand.  Pins of puts stay."""
        if not await self.disk.blocking.run(self.pins.remove, root, "user"):
            raise NotHere(f"{root} is not pinned by hand here")
        return PinInfo(str(root), "user", "")

    async def list(self) -> list[PinInfo]:
        """By CID, those of puts too."""
        pins = await self.disk.blocking.run(self.pins.list)
        return [PinInfo(str(pin.cid), pin.kind, pin.name) for pin in pins]


async def _bring(session: FetchSession, units: list[Unit], progress: Watch) -> None:
    total = sum(unit.size_bytes for unit in units)
    done = 0
    for unit in units:

        def advance(done_bytes: int, before_bytes: int = done) -> None:
            progress(Progress("fetching", before_bytes + done_bytes, total))

        walk = UnitWalk(unit)
        async with session.disk.batch() as batch:
            await receive_unit(session, walk, Keeper(session.disk.store, batch), advance)
            await session.disk.blocking.run(batch.commit)
        done += walk.size_bytes
