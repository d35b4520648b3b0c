"""How long this node has been running, added up over its lives.

A wall clock may show anything, and a monotonic one does not survive a restart.  This is what the
event loop counts, which stands still while the machine sleeps, written down every few minutes: a
node that is killed loses what came since, and none is ever invented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dhtstore.net.ports import Blocking
from dhtstore.node.warnings import Warnings
from dhtstore.params import CLAIM_GRACE_S, RUNNING_SAVED_S
from dhtstore.store.ledger.health.running import RunningRow, RunningTime

_WHAT: Final = "running"  # what a warning is called


@dataclass(slots=True)
class RunTime:
    """Before ``begin`` it knows of this life alone.  ``lives`` writes down besides what goes by
    when this node was last there; in a worker."""

    row: RunningTime
    blocking: Blocking
    warnings: Warnings
    lives: Callable[[], None] = lambda: None
    set_s: float = 0.0
    _before_s: float = 0.0
    _began_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def total_s(self) -> float:
        """Of all lives."""
        return self._before_s + asyncio.get_running_loop().time() - self._began_s

    async def begin(self) -> None:
        """Go on where earlier lives ended.  Raises HomeUnusable."""
        self.warnings.can_be_tried(_WHAT, self.save)
        known = await self.blocking.run(self.row.load)
        self._before_s, self.set_s = max(0.0, known.total_s), known.set_s

    async def run(self) -> None:
        """Forever."""
        while True:
            await asyncio.sleep(RUNNING_SAVED_S)
            await self.save()

    async def save(self) -> None:
        """A disk that takes no write costs only what would have been remembered."""
        with self.warnings.tolerated(_WHAT, "how long the node ran cannot be written down"):
            await self.blocking.run(self._save, RunningRow(self.total_s(), self.set_s))

    def _save(self, row: RunningRow) -> None:
        self.row.save(row)
        self.lives()

    def clock_set(self, by_s: float) -> None:
        """The wall clock moved; by less than the grace of claims it ends none too early."""
        if abs(by_s) >= CLAIM_GRACE_S:
            self.set_s = self.total_s()
