"""What strangers' lost units end with: else one block that nobody has would keep all garbage.

A unit of which a block above its leaves is gone can't be told from garbage, and neither can
anything else.  It is fetched anew first (``duties.rot``).  Where nobody has given it for
LOST_GIVEN_UP_S of running, since a clock that is set ahead must end nothing, the claims of
strangers on it end; what this node's own owner keeps never does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from dhtstore.config import counted
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.keeping.ending.running import RunTime
from dhtstore.node.warnings import Warnings
from dhtstore.params import DAY_S, LOST_GIVEN_UP_S
from dhtstore.store.ledger.health.lost import Lost
from dhtstore.trace import Tracer

_WHAT = "given-up"


@dataclass(slots=True)
class GivingUp:
    """``look`` has what is lost fetched anew, in a while; ``in_vain`` tries it now and says whether
    others were asked and none gave it."""

    disk: Disk
    ledger: Ledger
    running: RunTime
    warnings: Warnings
    tracer: Tracer
    look: Callable[[], None]
    in_vain: Callable[[Unit], Awaitable[bool]]
    given_up: int = 0
    _lost: Lost = field(init=False)

    def __post_init__(self) -> None:
        self._lost = Lost(self.ledger.table)

    async def settle(self, lost: Sequence[Unit]) -> bool:
        """Whether any claim ended, so that it is worth to collect again.  Raises NoRoom,
        HomeUnusable."""
        run, now_s = self.disk.blocking.run, self.running.total_s()
        units = [(unit.name, unit.spine) for unit in lost]
        since = await run(self._lost.since, units, now_s)
        if lost:
            self.look()
        ended = False
        for unit, since_s in zip(lost, since, strict=True):
            if now_s - since_s >= LOST_GIVEN_UP_S and await self._may_go(unit):
                await run(self._end, unit)
                ended = True
        return ended

    async def _may_go(self, unit: Unit) -> bool:
        run = self.disk.blocking.run
        return not await run(self._is_own, unit) and await self.in_vain(unit)

    def _is_own(self, unit: Unit) -> bool:
        """In a worker."""
        pins, roots = self.ledger.pins, self.ledger.roots
        pinned = any(unit in roots.units(pin.cid) for pin in pins.list())
        return pinned or self.ledger.claims.owns(unit.name)

    def _end(self, unit: Unit) -> None:
        """In a worker."""
        for claim in list(self.ledger.claims.for_unit(unit.name)):
            if claim.spine == unit.spine:
                self.ledger.claims.end(claim)
                root, owner = str(Cid(claim.policy.root)), claim.policy.owner.hex()
                self.tracer("claim.given-up", unit=unit_text(unit.name), root=root, owner=owner)
        self.given_up += 1
        units, days = counted(self.given_up, "unit"), int(LOST_GIVEN_UP_S / DAY_S)
        self.warnings.tell(
            _WHAT,
            f"{units} of others went for good: blocks were gone or damaged here, and for {days}"
            " days no other holder gave them; the log names them",
        )
