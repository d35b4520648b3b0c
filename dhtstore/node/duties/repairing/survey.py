"""One look at all units: who holds them is looked up where that is due, audits are gathered so that
each peer is asked about all that it shares with this node at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from dhtstore.model.identity import PublicKey
from dhtstore.node.duties.repairing.asking import Asking
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.params import HOLDERS_LOOKUPS_MAX
from dhtstore.store.ledger.health.holders import HolderRows, UnitId
from dhtstore.tasks import run_all

_GATHERED_MAX: Final = 1024  # units in memory whose audits are due
_LOOKUPS_AT_ONCE: Final = 4


@dataclass(slots=True)
class UnitSurvey:
    """``met`` are all units, ``holders`` all who hold any of them.  A round looks up so many: it
    begins with the ``first``-th unit, and the next round where this one ends."""

    asking: Asking
    rows: HolderRows
    run: Callable[..., Awaitable[Any]]
    met: set[UnitId] = field(default_factory=set)
    holders: dict[PublicKey, None] = field(default_factory=dict)
    first: int = 0
    next_first: int = 0
    lookups: int = 0
    _passed: int = 0
    _due: list[Watched] = field(default_factory=list)

    async def look(self, units: Sequence[Watched]) -> None:
        """Look up who holds those of which that is not known or long ago."""
        now, judge = self.asking.identity.now_unix_s(), self.asking.judge
        places = enumerate(units, self._passed)
        due = [each for each in places if each[0] >= self.first and judge.look_due(each[1], now)]
        self._passed += len(units)
        left = HOLDERS_LOOKUPS_MAX - self.lookups
        if len(due) > left:
            self.next_first = self.next_first or due[left][0]
        work = [partial(self.asking.look, one) for _, one in due[:left]]
        self.lookups += len(work)
        await run_all(work, limit=_LOOKUPS_AT_ONCE)

    async def written(self, units: Sequence[Watched]) -> None:
        """They were judged."""
        self.met.update(one.id for one in units)
        self.holders.update(dict.fromkeys(key for one in units for key in one.holders))
        await self.run(self.rows.save, {one.id: one.row for one in units})
        self._due += [one for one in units if self.asking.due([one])]
        if len(self._due) >= _GATHERED_MAX:
            await self.end()

    async def end(self) -> None:
        """Audit what is due."""
        units, self._due = self._due, []
        if units:
            await self.asking.audit(self.asking.due(units))
            await self.run(self.rows.save, {one.id: one.row for one in units})
