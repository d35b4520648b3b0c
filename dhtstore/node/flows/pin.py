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
from dhtstore.operations.operation import KEPT, Progress, Watch
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
            total_bytes = sum(unit.size_bytes for unit in units)
            meter = _PinMeter(session, total_bytes, progress, keeps=self.staging.keeps_all)
            try:
                await _bring(session, units, meter)
                await self.disk.blocking.run(self.pins.add, root, name, "user", units)
            except BaseException:
                meter.cut_short()
                raise
        announced_bytes = 0
        for unit in units:
            meter.announced(announced_bytes)
            await self.announce(unit)
            announced_bytes += unit.size_bytes
        return PinInfo(str(root), "user", name)

    async def remove(self, root: Cid) -> PinInfo:
        """Raises NotHere if it was not pinned by hand.  Pins of puts stay."""
        if not await self.disk.blocking.run(self.pins.remove, root, "user"):
            raise NotHere(f"{root} is not pinned by hand here")
        return PinInfo(str(root), "user", "")


class _PinMeter:
    """What was here counts as done, and as not moved now."""

    def __init__(self, session: FetchSession, total_bytes: int, sink: Watch, *, keeps: bool):
        self._session, self._total_bytes, self._sink = session, total_bytes, sink
        self._keeps = keeps
        self._before_bytes = self._before_earlier_bytes = 0  # of the units that are done with
        self._keeper: Keeper | None = None
        self._here_bytes = 0

    def unit(self, keeper: Keeper) -> None:
        self._keeper, self._here_bytes = keeper, 0

    def advance(self, done_bytes: int) -> None:
        assert self._keeper is not None, "a unit is begun"
        self._here_bytes = max(self._here_bytes, done_bytes - self._keeper.block_bytes)
        done_bytes, earlier_bytes = self._clamped(done_bytes), self._here_bytes
        self._sink(
            Progress(
                "fetching",
                done_bytes,
                self._total_bytes,
                len(self._session.connected),
                min(done_bytes, self._before_earlier_bytes + earlier_bytes),
                self._session.given(),
            )
        )

    def unit_done(self, size_bytes: int) -> None:
        self._before_bytes += size_bytes
        self._before_earlier_bytes += min(size_bytes, self._here_bytes)
        self._keeper, self._here_bytes = None, 0

    def announced(self, done_bytes: int) -> None:
        self._sink(Progress("announcing", done_bytes, self._total_bytes))

    def cut_short(self) -> None:
        """A client drops what is not pinned."""
        here_bytes = self._here_bytes + (self._keeper.committed_bytes if self._keeper else 0)
        kept_bytes = self._clamped(here_bytes) if self._keeps else 0
        self._sink(Progress(KEPT, kept_bytes, self._total_bytes))

    def _clamped(self, unit_bytes: int) -> int:
        return min(self._before_bytes + unit_bytes, self._total_bytes)


async def _bring(session: FetchSession, units: list[Unit], meter: _PinMeter) -> None:
    for unit in units:
        walk = UnitWalk(unit)
        async with session.disk.batch() as batch:
            keeper = Keeper(session.disk.store, batch)
            meter.unit(keeper)
            await receive_unit(session, walk, keeper, meter.advance)
            await session.disk.blocking.run(batch.commit)
        meter.unit_done(walk.size_bytes)
