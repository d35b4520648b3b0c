"""How much of the time this node itself is there: others are away, and so is it.

While its process lives it is away when the machine sleeps.  Between two lives only the wall clock
tells how long it was away, and that may have been set meanwhile, by years where it was never set
before: no absence counts for more than the longest grace, after which the copy here was replaced.
What is long ago counts for less, as it does of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.net.ports import Clock
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.params import PRESENCE_REMEMBERED_S
from dhtstore.replication.health.past import away_share
from dhtstore.replication.health.periods import Periods
from dhtstore.store.ledger.health.own_times import OwnTimes, OwnTimesRow


@dataclass(slots=True)
class OwnPresence:
    """``running_s`` is for how long it has been running in all its lives."""

    clock: Clock
    notes: Notes
    ledger: OwnTimes
    running_s: Callable[[], float]
    periods: Periods
    _row: OwnTimesRow | None = None
    _counted_s: float = 0.0  # when that was, by the monotonic clock

    async def load(self) -> None:
        """Go on counting where an earlier life ended.  Raises HomeUnusable."""
        known = await self.notes.blocking.run(self.ledger.load)
        now_unix_s = self.clock.unix_s()
        row = known or OwnTimesRow(now_unix_s, self.running_s())
        await self._save(self._later(row, now_unix_s - row.at_unix_s))

    async def save(self) -> None:
        """Write down what was counted until now."""
        row = self._by_now
        if row is not None:
            await self._save(row)

    async def _save(self, row: OwnTimesRow) -> None:
        self._row, self._counted_s = row, self.clock.monotonic_s()
        await self.notes.write(self.ledger.save, row)

    @property
    def away(self) -> float | None:
        """The share of the time, 0 to 1, for which it will not be there; None before ``load``."""
        row = self._by_now
        return row and away_share(row.away_s, row.there_s + row.away_s, self.periods)

    @property
    def _by_now(self) -> OwnTimesRow | None:
        return self._row and self._later(self._row, self.clock.monotonic_s() - self._counted_s)

    def _later(self, row: OwnTimesRow, passed_s: float) -> OwnTimesRow:
        """``passed_s`` after that row."""
        running_s = self.running_s()
        ran_s = max(0.0, running_s - row.running_s)
        off_s = min(max(0.0, passed_s - ran_s), self.periods.grace_max_s)
        there_s, away_s = row.there_s + ran_s, row.away_s + off_s
        part = 0.5 if there_s + away_s > PRESENCE_REMEMBERED_S else 1.0
        return OwnTimesRow(self.clock.unix_s(), running_s, part * there_s, part * away_s)
