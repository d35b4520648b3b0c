"""What repairs may send in a day."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dhtstore.net.ports import Clock
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.params import DAY_S, MOVE_BUDGET_DIVISOR
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.store.ledger.health.spent import Spent, SpentRow


@dataclass(slots=True)
class Budget:
    """``of_a_day`` is how much in 24 hours, counted as sent; what is larger than that has a day of
    its own.  ``waiting`` are the units that it holds back."""

    clock: Clock
    notes: Notes
    ledger: Spent
    of_a_day: Callable[[], int]
    waiting: set[UnitId] = field(default_factory=set)
    _row: SpentRow = field(default_factory=SpentRow)

    @property
    def day_bytes(self) -> int:
        return self.of_a_day()

    async def load(self) -> None:
        """Raises HomeUnusable."""
        self._row = await self.notes.blocking.run(self.ledger.load)

    @property
    def spent_bytes(self) -> int:
        """Today."""
        now = self.clock.unix_s()
        today = 0 <= now - self._row.day_unix_s < DAY_S
        return self._row.sent_bytes if today else 0

    @property
    def left_bytes(self) -> int:
        return max(0, self.day_bytes - self.spent_bytes)

    @property
    def renewed_unix_s(self) -> float:
        """When there is a day's worth again; infinite where nothing is to be sent at all."""
        if not self.day_bytes:
            return math.inf
        return self._row.day_unix_s + DAY_S if self.spent_bytes else self.clock.unix_s()

    def allows(self, copies: int, size_bytes: int) -> int:
        """How many of so many copies may be sent now, each of that size."""
        if self.day_bytes and not self.spent_bytes:
            return copies
        return min(copies, self.left_bytes // max(1, size_bytes))

    def held_back(self, unit: UnitId, *, is_so: bool) -> None:
        """Whether it is one of ``waiting``."""
        (self.waiting.add if is_so else self.waiting.discard)(unit)

    def leaves(self, size_bytes: int) -> bool:
        """Whether so much may be sent for something that can wait: then enough for repairs is
        left."""
        return self.spent_bytes + size_bytes <= self.day_bytes // MOVE_BUDGET_DIVISOR

    async def spent(self, sent_bytes: int) -> None:
        """So much was sent."""
        if not sent_bytes:
            return
        before = self.spent_bytes
        day = self._row.day_unix_s if before else self.clock.unix_s()
        self._row = SpentRow(day, before + sent_bytes)
        await self.notes.write(self.ledger.save, self._row)
