"""What this node does about the copies of a unit that it holds, and how likely the unit is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Final

from msgspec.structs import replace

from dhtstore.model.contact import subnet
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import unit_name, unit_text
from dhtstore.node.duties.repairing.repair import Repair, by_itself
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import (
    FOR_OTHERS,
    SIGNED_BEFORE,
    UNSIGNED,
    HolderStatus,
    RootStatus,
    UnitStatus,
)
from dhtstore.operations.safety import HoldersSeen, UnitCare
from dhtstore.replication.auditing import slot_unix_s
from dhtstore.replication.health.copies import CopyState, Health
from dhtstore.replication.health.waiting import believed, waits_s
from dhtstore.replication.repair.losing import LossRate, lost_within, slots_believed, slots_of
from dhtstore.replication.repair.plan import Act, Choice
from dhtstore.store.ledger.health.holders import HolderRow

_NOT_LOOKED: Final = "who else holds it is looked up in the next round"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of all that ``repair`` looks after."""

    repair: Repair

    def seen(self) -> HoldersSeen:
        """Of holders, so far."""
        rate = self.repair.fellows.losses()
        return HoldersSeen(round(rate.watched_s), rate.gone, round(rate.per_year, 4), rate.measured)

    async def of_root(self, told: RootStatus) -> RootStatus:
        """The same with what is known of its units here."""
        names = [unit_name(each.unit) for each in told.units]
        ids = [(name, spine) for name in names for spine in (False, True)]
        held = {unit_text(one.unit.name): one for one in await self.repair.units.named(ids)}
        rate = self.repair.fellows.losses()
        units = [self._of_unit(unit, held.get(unit.unit), told, rate) for unit in told.units]
        lost = [each.lost_per_year for each in units if each.lost_per_year is not None]
        some = 1 - math.prod(1 - each for each in lost) if len(lost) == len(units) else None
        return replace(told, units=units, lost_per_year=some, seen=self.seen())

    def _of_unit(
        self, unit: UnitStatus, one: Watched | None, told: RootStatus, rate: LossRate
    ) -> UnitStatus:
        if one is None:
            if told.put is None and not told.checked:
                return unit  # copies of what others put are those that are proved now
            copies = len(unit.providers)
            slots = slots_believed(copies, told.replicas or copies, rate, repaired=True)
            return replace(unit, lost_per_year=lost_within(slots))
        rows = {node_id(PublicKey(row.key)): row for row in one.row.holders}
        texts = {format_node(node): row for node, row in rows.items()}
        holders = [
            self._of_holder(holder, texts[holder.node]) if holder.node in texts else holder
            for holder in unit.holders
        ]
        announced = unit.announced
        if told.put is not None:
            holders = [_for_others(each, texts.get(each.node)) for each in holders]
            proved = {each.node for each in holders if each.state == FOR_OTHERS}
            announced = [node for node in announced if node not in proved]
        signed = None if told.put is None else len(unit.providers)
        care, lost = self.care(one), self.lost(one, rate, signed)
        known = {"holders": holders, "announced": announced}
        return replace(unit, **known, care=care, lost_per_year=lost)

    def _of_holder(self, holder: HolderStatus, row: HolderRow) -> HolderStatus:
        fellow = self.repair.fellows.of(PublicKey(row.key))
        past, proved = fellow.past, holder.proved
        audited = bool(proved and row.proven_unix_s >= proved.unix_s)
        return replace(
            holder,
            proved=Moment.at(row.proven_unix_s) if audited else proved,
            proved_by="audit" if audited else holder.proved_by,
            network=subnet(fellow.place) if fellow.place else holder.network,
            seen=Moment.at(past.heard_unix_s),
            silent_s=round(self.repair.judge.copy(row).silent_s),
            there=round(past.there_share, 4),
        )

    def lost(self, one: Watched, rate: LossRate, signed: int | None) -> float:
        """The probability that the unit is lost within a year.  Of what was put from here so many
        ``signed`` for it; where those were too few, nobody is waited for who was never met.  Where
        nobody takes what is missing, no place is filled again."""
        refused = self.repair.told.in_vain(one.id) and self.repair.judge.is_short(one)
        repaired = self.repair.acting.may_bring(one) and not refused
        health = self.repair.judge.health(one)
        if signed is not None and signed < one.target:
            health = with_fields(health, unknown_s=math.inf)
        return lost_within(slots_of(health, rate, repaired=repaired))

    def care(self, one: Watched) -> UnitCare:
        now = self.repair.identity.now_unix_s()
        choice = by_itself(self.repair, one, self.choice(one))
        looked = one.row.looked_unix_s > 0
        health = self.repair.judge.health(one)
        due_unix_s = self.due_unix_s(health, choice, now) if looked else None
        return UnitCare(
            choice.act.value if looked else "wait",
            choice.why if looked else _NOT_LOOKED,
            None if due_unix_s is None else Moment.at(due_unix_s),
            self._audit(one, now),
        )

    def waits_s(self, one: Watched) -> float | None:
        """For how long nothing is done about what has a holder that is silent, before a copy of it
        is made again; None where nothing is waited for."""
        return _waits_s(self.repair.judge.health(one))

    def choice(self, one: Watched) -> Choice:
        """As it would be now; the row of ``one`` is judged with it, and not written back."""
        return self.repair.judge.judge(one, self.repair.identity.now_unix_s())

    def due_unix_s(self, health: Health, choice: Choice, now_unix_s: float) -> float | None:
        """When a copy is made again by itself: now, in this node's turn, when there is budget for
        it, or once so many of those that are silent, or were never met, were so for their grace
        that there are too few."""
        if choice.act is Act.REPAIR:
            return now_unix_s
        if choice.act is Act.WAIT and choice.missing:
            return choice.due_unix_s if math.isfinite(choice.due_unix_s) else None
        waits_s = _waits_s(health)
        return None if waits_s is None else now_unix_s + waits_s

    def _audit(self, one: Watched, now_unix_s: float) -> Moment | None:
        """When the next one of another holder is due."""
        own, every_s = self.repair.identity.public_key, self.repair.periods.audit_every_s
        due: list[float] = []
        for row in one.row.holders:
            key = PublicKey(row.key)
            if not self.repair.fellows.of(key).past.silent_s:
                slot = slot_unix_s(own, key, every_s, now_unix_s)
                due.append(now_unix_s if row.audited_unix_s < slot else slot + every_s)
        return Moment.at(min(due)) if due else None


def _waits_s(health: Health) -> float | None:
    """With this node's turn.  Who answers is believed: before anything is made it is asked for its
    proof."""
    left_s = waits_s(believed(health))
    return None if left_s is None else left_s + health.rank * health.periods.turn_s


def _for_others(holder: HolderStatus, row: HolderRow | None) -> HolderStatus:
    """Who proved a copy of what was put from here, and signed nothing for that."""
    unsigned = holder.state in UNSIGNED and holder.why != SIGNED_BEFORE
    if row is None or row.lacks or not row.proven_unix_s or not unsigned:
        return holder
    why = "it proves its copy, and signed for another owner only"
    return replace(holder, state=FOR_OTHERS, why=why)


def live_copies(health: Health) -> int:
    """With the one here."""
    return 1 + len(health.at(CopyState.LIVE))
