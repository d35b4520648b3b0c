"""pin: keep a root here for its own sake.

data path: root -> units -> blocks fetched and fsynced -> pin -> provider records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import NoRoom, NotHere, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger, surely
from dhtstore.node.copies.receive import Keeper, receive_unit
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.staging import Staging
from dhtstore.operations.keeping import PinInfo
from dhtstore.operations.operation import KEPT, Progress, Watch
from dhtstore.store.ledger.pins import Pin


@dataclass(frozen=True, slots=True)
class Pinning:
    """The pins that this machine's user sets by hand.

    ``announce`` tells the network of a unit, at once if it can, and never fails; ``kept_no_more``
    is told what it was told that a pin kept."""

    disk: Disk
    ledger: Ledger
    clock: Clock
    staging: Staging
    collector: Collector
    announce: Callable[[Unit], Awaitable[object]]
    kept_no_more: Callable[[list[Unit]], None]

    async def add(self, session: FetchSession, root: Cid, name: str, progress: Watch) -> PinInfo:
        """Bring all of it into the store, pin it and announce it.

        Without a name it has that of an earlier pin of the same.  Raises NoRoom and what ``fetch``
        raises; what came before is cached, so the next try goes on from there.
        """
        name = name or await self.disk.blocking.run(self.earlier_name, root)
        async with self.staging.bringing():
            units = await session.units(root)
            total_bytes = sum(unit.size_bytes for unit in units)
            meter = _PinMeter(session, total_bytes, progress, keeps=self.staging.keeps_all)
            try:
                await _bring(session, units, meter)
                await self.disk.blocking.run(self.ledger.pins.add, root, name, "user", units)
                await self.disk.blocking.run(self.ledger.cache.kept, root)
            except BaseException:
                meter.cut_short()
                await surely(self.disk.blocking, partial(self._left, root, meter.settled_bytes))
                raise
        announced_bytes = 0
        for unit in units:
            meter.announced(announced_bytes)
            await self.announce(unit)
            announced_bytes += unit.size_bytes
        return PinInfo(str(root), "user", name)

    async def remove(self, root: Cid) -> PinInfo:
        """Raises NotHere if it was not pinned by hand.  Pins of puts stay.  Whoever reads it goes
        on: what is here stays until that has ended."""
        run, ledger = self.disk.blocking.run, self.ledger
        pins = [pin for pin in await run(ledger.pins.list) if pin.cid == root]
        by_hand = next((pin for pin in pins if pin.kind == "user"), None)
        units = await run(ledger.roots.units, root)
        if by_hand is None or not await run(ledger.pins.remove, root, "user"):
            error = NotHere(f"{root} is not pinned by hand here")
            raise error.hinted(f"`dhtstore rm {root}` ends what was put") if pins else error
        self.kept_no_more(units)
        self.collector.left()
        return PinInfo(str(root), "user", by_hand.name)

    async def check_name(self, root: Cid, name: str) -> None:
        """Raises UsageError where another pin by hand has a name that was chosen."""
        pins = await self.disk.blocking.run(self._by_hand)
        other = next((pin for pin in pins if name and pin.name == name and pin.cid != root), None)
        if other is not None:
            error = UsageError(f"{name!r} is the name of another pin, of {other.cid}")
            raise error.hinted("choose another --name, or remove that pin")

    def earlier_name(self, root: Cid) -> str:
        """That of the pin by hand that there is; "" without one."""
        return self.earlier_names([root])[root]

    def earlier_names(self, roots: Iterable[Cid]) -> dict[Cid, str]:
        """The same for each of several."""
        names = {pin.cid: pin.name for pin in self._by_hand()}
        return {root: names.get(root, "") for root in roots}

    def _by_hand(self) -> list[Pin]:
        return [pin for pin in self.ledger.pins.list() if pin.kind == "user"]

    def _left(self, root: Cid, stored_bytes: int) -> None:
        """A client drops what is not pinned."""
        if self.staging.keeps_all and stored_bytes:
            self.ledger.cache.add(root, stored_bytes, self.clock.unix_s())


class _PinMeter:
    """What was here counts as done, and as not moved now."""

    def __init__(self, session: FetchSession, total_bytes: int, sink: Watch, *, keeps: bool):
        self._session, self._total_bytes, self._sink = session, total_bytes, sink
        self._keeps = keeps
        self._before_bytes = self._before_earlier_bytes = 0  # of the units that are done with
        self._keeper: Keeper | None = None
        self._here_bytes = self.settled_bytes = 0  # the latter by this try

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

    def tried(self) -> None:
        """A unit came, or did not."""
        self.settled_bytes += self._keeper.settled_bytes if self._keeper else 0

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
        try:
            size_bytes = await _bring_unit(session, unit, meter)
        except NoRoom:
            if not await session.disk.make_room(unit.size_bytes):
                raise
            size_bytes = await _bring_unit(session, unit, meter)
        meter.unit_done(size_bytes)


async def _bring_unit(session: FetchSession, unit: Unit, meter: _PinMeter) -> int:
    """How many bytes of content it has."""
    walk = UnitWalk(unit)
    try:
        async with session.disk.batch() as batch:
            keeper = Keeper(session.disk.store, batch)
            meter.unit(keeper)
            await receive_unit(session, walk, keeper, meter.advance)
            await session.disk.blocking.run(keeper.commit)
    finally:
        meter.tried()
    return walk.size_bytes
