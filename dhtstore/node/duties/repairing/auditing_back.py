"""Who audits this node is audited in turn, over the same connection: a handshake costs more than
ten audits do.  Reading is what it costs here: what is read in vain is rationed by origin, or a
question for no block, which costs nothing, would have a block read for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.net.ports import Clock
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.links.link import Link
from dhtstore.replication.audit_ration import AuditRation
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import Audit


@dataclass(frozen=True, slots=True)
class AuditBack:
    """``tasks`` own what nobody waits for, ``ration`` is of what is read for nothing."""

    repair: Callable[[], Repair]
    tasks: Supervisor
    clock: Clock
    ration: AuditRation = field(default_factory=AuditRation)

    def asked(self, link: Link, audit: Audit) -> None:
        """It has just been answered: those of the same units whose audit is due are asked about."""
        units = [(each.unit, each.spine) for each in audit.units]
        claimed = link.peer_record.address_list() if link.peer_record else ()
        places = self.repair().asking.reach.links.followable(claimed)
        if not self.tasks.closed:
            asking = self._ask(link.origin, link.public_key, places, units)
            self.tasks.spawn(asking, "audit-back")

    async def _ask(
        self, origin: str, key: PublicKey, places: Sequence[Address], units: Sequence[UnitId]
    ) -> None:
        repair = self.repair()
        kept_bytes = repair.completeness.disk.store.used_bytes
        if self.ration.has(origin, kept_bytes, self.clock.monotonic_s()):
            self.ration.took(origin, await repair.audit_now(key, places, units))
