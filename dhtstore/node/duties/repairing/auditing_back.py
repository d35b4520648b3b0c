"""Who audits this node is audited in turn, over the same connection: a handshake costs more than
ten audits do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.links.link import Link
from dhtstore.store.ledger.health.holders import UnitId
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import Audit


@dataclass(frozen=True, slots=True)
class AuditBack:
    """``tasks`` own what nobody waits for."""

    repair: Repair
    tasks: Supervisor

    def asked(self, link: Link, audit: Audit) -> None:
        """It has just been answered: those of the same units whose audit is due are asked about."""
        units = [(each.unit, each.spine) for each in audit.units]
        claimed = link.peer_record.address_list() if link.peer_record else ()
        places = self.repair.asking.reach.links.followable(claimed)
        if not self.tasks.closed:
            self.tasks.spawn(self._ask(link.public_key, places, units), "audit-back")

    async def _ask(
        self, key: PublicKey, places: Sequence[Address], units: Sequence[UnitId]
    ) -> None:
        await self.repair.audit_now(key, places, units)
