"""How much of the time this node itself is there: others are away, and so is it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.net.ports import Blocking, Clock
from dhtstore.replication.health.past import away_share
from dhtstore.replication.health.periods import Periods
from dhtstore.store.ledger.health.counted_since import CountedRow, CountedSince


@dataclass(slots=True)
class OwnPresence:
    """``running_s`` is for how long it has been running in all its lives."""

    clock: Clock
    blocking: Blocking
    ledger: CountedSince
    running_s: Callable[[], float]
    periods: Periods
    _row: CountedRow | None = None

    async def load(self) -> None:
        """Begin to count, unless an earlier life did.  Raises NoRoom, HomeUnusable."""
        row, now = await self.blocking.run(self.ledger.load), self.clock.unix_s()
        if row is None or not (row.since_unix_s <= now and row.running_s <= self.running_s()):
            row = CountedRow(now, self.running_s())
            await self.blocking.run(self.ledger.save, row)
        self._row = row

    @property
    def away(self) -> float | None:
        """The share of the time, 0 to 1, for which it will not be there; None before ``load``."""
        if self._row is None:
            return None
        counted_s = self.clock.unix_s() - self._row.since_unix_s
        running_s = self.running_s() - self._row.running_s
        return away_share(counted_s - running_s, counted_s, self.periods)
