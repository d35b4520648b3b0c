"""Leaving for good, without a copy too few at any moment.

data path: a mark in the ledger -> what has just come is kept -> all that is held is handed over ->
what is pinned besides is announced no more -> the mark goes, and the node ends.

From its first moment the node takes no offers, and proves its copies to nobody: who is offered one
of them must not count it, and no holder may drop its own because of it.  It still serves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from dhtstore.errors import Interrupted, UsageError
from dhtstore.node.duties.leaving.handing_over import HandingOver
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Watch
from dhtstore.replication.repair.plan import Act
from dhtstore.store.ledger.health.leaving import LeavingMark

_WHAT: Final = "leaving"
_TEXT: Final = (
    "this node is leaving: it takes nothing from others any more; `dhtstore leave` goes on with it,"
    " `dhtstore leave --cancel` lets it stay"
)
_UNMARKED: Final = "leaving unwritten"


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class Leaving:
    """``active`` from the first `leave` until it is cancelled; ``left`` is done when nothing is
    held here that others need.  ``arrived`` waits for what has come and is about to be signed for;
    ``announce_all`` has everything announced soon."""

    handing: HandingOver
    arrived: Callable[[], Awaitable[None]]
    announce_all: Callable[[], None]
    mark: LeavingMark
    warnings: Warnings
    active: bool = False
    left: asyncio.Future[None] = field(default_factory=_future)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _works: list[asyncio.Timeout] = field(default_factory=list)  # of each `leave` that goes on

    async def begin(self) -> None:
        """As it was when this node last ran.  Raises HomeUnusable."""
        if await self.handing.run(self.mark.get):
            self._set_active()

    def _set_active(self) -> None:
        self.active = True
        self.warnings.tell(_WHAT, _TEXT)

    async def cancel(self) -> bool:
        """Stay; what others took, they keep.  Whoever waits for a `leave` is told so.  Whether this
        node was leaving; else nothing comes of it.  Raises UsageError where nothing is left to stay
        for."""
        for each in self._works:
            each.reschedule(asyncio.get_running_loop().time())
        async with self._turn:
            if self.left.done():
                raise UsageError("others have all that was held here by now: this node ends")
            if not self.active:
                return False
            await self._write(self.mark.clear, "that this node stays")
            self.active = False
            self.warnings.over(_WHAT)
            self.handing.quiet.clear()
            self.announce_all()  # also what was quiet before a restart
            return True

    async def leave(self, watch: Watch) -> list[UnitDone]:
        """Bring all to others; what came of each claim.  What is left of it where this is cut
        short is done by the next.  Raises Interrupted where it was cancelled, HomeUnusable where
        the ledger cannot be read, ConnectionLost."""
        async with self._until_cancelled(), self._turn:
            await self._write(self.mark.set, "that this node leaves")
            self._set_active()  # a round of repair may take hours yet
            async with self.handing.repair.alone():
                await self.arrived()
                return await self._handed_over(watch)

    async def _handed_over(self, watch: Watch) -> list[UnitDone]:
        done = await self.handing.hand_over_all(watch)
        if all(each.act is Act.DROP for each in done):
            await self.handing.fall_silent()
            await self._write(self.mark.clear, "that this node has left")
            if not self.left.done():
                self.left.set_result(None)
        return done

    async def _write(self, work: Callable[[], None], what: str) -> None:
        """A disk that is full, or can only be read, is what many leave for: then a restart does not
        know it."""
        with self.warnings.tolerated(_UNMARKED, f"{what} cannot be written down"):
            await self.handing.run(work)

    @asynccontextmanager
    async def _until_cancelled(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as scope:
                self._works.append(scope)
                try:
                    yield
                finally:
                    self._works.remove(scope)
        except TimeoutError:
            if not scope.expired():
                raise
            raise Interrupted("it was cancelled meanwhile: this node stays").hinted(
                "`dhtstore leave` begins again"
            ) from None
