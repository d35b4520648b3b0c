"""What happened to copies is written down, for `events` and for the log."""

from __future__ import annotations

from dataclasses import dataclass, field

from dhtstore.model.cid import Cid
from dhtstore.model.unit import unit_text
from dhtstore.net.ports import Clock
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.params import REPAIRS_WAITING_MAX
from dhtstore.replication.repair.plan import Act
from dhtstore.store.ledger.health.events import EventRow, Events
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.trace import Tracer


@dataclass(frozen=True, slots=True)
class UnitDone:
    """What was done about a unit, or is to be: ``made`` copies for ``sent_bytes``.  ``outdated`` is
    what was decided by something that is otherwise by now: others know a newer policy, or somebody
    who had a copy went."""

    one: Watched
    act: Act
    why: str
    copies: int
    made: int = 0
    sent_bytes: int = 0
    dropped: bool = False
    outdated: bool = False


@dataclass(slots=True)
class CopyNews:
    """Writes events; that nobody takes a copy once a unit, until somebody does."""

    ledger: Events
    notes: Notes
    clock: Clock
    tracer: Tracer
    _in_vain: set[UnitId] = field(default_factory=set)

    async def tell(
        self, kind: str, one: Watched, why: str, *, node: str = "", size_bytes: int = 0
    ) -> None:
        self._in_vain.discard(one.id)
        policy = one.claim.policy
        self.tracer(
            f"copies.{kind}",
            unit=unit_text(one.unit.name),
            root=str(Cid(policy.root)),
            reason=why,
            node=node,
        )
        row = EventRow(self.clock.unix_s(), kind, one.unit.name, policy.root, why, node, size_bytes)
        await self.notes.write(self.ledger.add, row)

    def in_vain(self, unit: UnitId) -> bool:
        """Whether nobody took a copy of it when that was last tried."""
        return unit in self._in_vain

    async def refused(self, one: Watched, why: str) -> None:
        if one.id not in self._in_vain:
            await self.tell("refused", one, why)
            if len(self._in_vain) < REPAIRS_WAITING_MAX:
                self._in_vain.add(one.id)
