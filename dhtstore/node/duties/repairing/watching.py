"""What is known of the copies of one unit: read from the ledger, judged, written back."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.identity import Identity
from dhtstore.params import AUDITS_IN_VAIN_MAX, AUDITS_UNPROVED_MAX, HOLDERS_KNOWN_MAX
from dhtstore.replication.health.copies import Copy, CopyState, Health
from dhtstore.replication.health.past import observed_s
from dhtstore.replication.health.periods import Periods
from dhtstore.replication.repair.plan import Choice, decide, watched
from dhtstore.store.ledger.health.holders import FailedAudit, HolderRow, HoldersRow

_PROVES_NOTHING: Final = "it answers, and proves nothing of its copy"


@dataclass(slots=True)
class Watched:
    """A unit that is kept here for a claim, and its ``row`` of the ledger.  ``stays`` is why the
    copy here does not go, ``made`` how many signed for it, where this node's own user put it."""

    unit: Unit
    claim: Claim
    stays: str
    row: HoldersRow
    made: int | None = None

    @property
    def id(self) -> tuple[bytes, bool]:
        return self.unit.name, self.unit.spine

    @property
    def target(self) -> int:
        return self.claim.policy.replicas

    @property
    def holders(self) -> list[PublicKey]:
        return [PublicKey(each.key) for each in self.row.holders]

    def failed(self, key: PublicKey) -> FailedAudit | None:
        """Which audit it failed last, if it did."""
        return next((each.failed for each in self.row.holders if each.key == key), None)


class Said(NamedTuple):
    """What came of an audit: "" for a copy that was proved, else why it is none; whether it
    stays for good, whether the proof took a block, and which audit was ``failed``."""

    lacks: str = ""
    stays: bool = False
    by_block: bool = False
    failed: FailedAudit | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes of rows what the plan judges.  ``seen`` is told of units of whose holders something
    became known; ``here_away`` is how much of the time this node is not there."""

    identity: Identity
    fellows: KnownFellows
    periods: Periods
    seen: Callable[[Watched], None] = lambda one: None
    here_away: Callable[[], float | None] = lambda: None

    def health(self, watched_unit: Watched, only: Container[PublicKey] | None = None) -> Health:
        """As it was judged last; of the others who hold it, of some ``only``."""
        row = watched_unit.row
        rows = [each for each in row.holders if only is None or PublicKey(each.key) in only]
        copies = [self.copy(each) for each in rows]
        return Health(
            watched_unit.unit.key,
            self.identity.node,
            watched_unit.target,
            copies,
            self.periods,
            watched_unit.stays,
            row.unknown_s,
            row.short_since_unix_s,
            row.surplus_since_unix_s,
            self.here_away(),
            row.freed_unix_s,
            watched_unit.made,
        )

    def copy(self, row: HolderRow) -> Copy:
        """Of one holder, as it is known."""
        key = PublicKey(row.key)
        past = self.fellows.of(key).past
        told = row.proven_unix_s, row.lacks, row.stays, row.by_block, row.sought_s, row.vain
        return Copy(node_id(key), past, *told)

    def proved(self, one: Watched, since_unix_s: float, *, lasting: bool) -> list[PublicKey]:
        """Who answers and has proved its copy since then; of those that are ``lasting`` alone, who
        keep theirs if the one here goes."""
        health, now_unix_s = self.health(one), self.identity.now_unix_s()
        there = health.lasting if lasting else health.at(CopyState.LIVE)
        proved = {each.holder for each in there if each.proved(since_unix_s, now_unix_s)}
        return [key for key in one.holders if node_id(key) in proved]

    def without(self, one: Watched) -> list[PublicKey]:
        """Who answers, and had no whole copy when it was asked last."""
        rows = (row for row in one.row.holders if row.lacks not in ("", _PROVES_NOTHING))
        keys = (PublicKey(row.key) for row in rows)
        return [key for key in keys if self.fellows.answers(key)]

    def judge(self, one: Watched, now_unix_s: float) -> Choice:
        """What is to be done now; ``row`` knows then since when it is so."""
        one.row = one.row._replace(unknown_s=self._unknown_s(one, now_unix_s))
        self._note_absences(one, now_unix_s)
        self._note_stays(one, now_unix_s)
        _note_target(one)
        health = watched(self.health(one), now_unix_s)
        one.row = one.row._replace(
            judged_unix_s=now_unix_s,
            short_since_unix_s=health.short_since_unix_s,
            surplus_since_unix_s=health.surplus_since_unix_s,
        )
        return decide(health, now_unix_s)

    def _note_absences(self, one: Watched, now_unix_s: float) -> None:
        """Who was lost and is back may have been replaced by others: these are to be looked for.
        Who is lost now may have been what others relied on."""
        rows, back, gone = list[HolderRow](), False, False
        for row in one.row.holders:
            state = self.copy(row).state(self.periods)
            away = state is CopyState.LOST or (row.away and state is not CopyState.LIVE)
            back |= row.away and not away
            gone |= away and not row.away
            rows.append(row if row.away is away else row._replace(away=away, settled=False))
        rows = self._doubted(rows, now_unix_s) if gone else rows
        looked_unix_s = 0.0 if back else one.row.looked_unix_s
        one.row = one.row._replace(holders=tuple(rows), looked_unix_s=looked_unix_s)

    def _doubted(self, rows: Iterable[HolderRow], now_unix_s: float) -> list[HolderRow]:
        """A copy is gone: in its place count those alone that prove theirs from now on.  Others may
        have dropped one since they proved it, for it was one too many."""
        earliest_unix_s = now_unix_s - self.periods.proved_lately_s
        return [
            row
            if earliest_unix_s <= row.proven_unix_s <= now_unix_s
            else row._replace(by_block=False)
            for row in rows
        ]

    def _note_stays(self, one: Watched, now_unix_s: float) -> None:
        """Others are told what is written down, so that it is known until when they were: by now at
        the latest, if the clock was ahead then."""
        stays, row = bool(one.stays), one.row
        freed_unix_s = now_unix_s if row.stays else min(row.freed_unix_s, now_unix_s)
        one.row = row._replace(stays=stays, freed_unix_s=0.0 if stays else freed_unix_s)

    def is_short(self, one: Watched) -> bool:
        """Whether it had too few copies when it was judged last, and not only fewer than proved."""
        return one.row.short_since_unix_s is not None and self.health(one).told < one.target

    def look_due(self, one: Watched, now_unix_s: float) -> bool:
        """Whether to look up who holds it.  While fewer are known than should be, first soon and
        then less and less often."""
        row, periods = one.row, self.periods
        every_s = periods.holders_look_s
        if len(row.holders) < one.target - 1:
            every_s = min(max(row.unknown_s, periods.ping_s / 2), periods.holders_look_short_s)
        elif any(each.away or each.lacks for each in row.holders):
            every_s = periods.holders_look_short_s
        return not 0 <= now_unix_s - row.looked_unix_s < every_s

    def _unknown_s(self, one: Watched, now_unix_s: float) -> float:
        row = one.row
        if len(row.holders) >= one.target - 1:
            return 0.0
        if not row.judged_unix_s:
            return row.unknown_s
        gap_s = observed_s(row.judged_unix_s, now_unix_s, self.periods.gap_max_s)
        return row.unknown_s + gap_s

    def found(self, one: Watched, keys: Sequence[PublicKey], now_unix_s: float) -> None:
        """A lookup named these holders.  Those known before stay, until enough others are known and
        they lack it, or were silent for long."""
        named = {bytes(key) for key in keys}
        known = {each.key for each in one.row.holders}
        new = [HolderRow(key, sought_s=self._sought_s(one)) for key in sorted(named - known)]
        holders = [*one.row.holders, *new]
        for row in one.row.holders:
            if row.key not in named and self._is_past(row) and len(holders) >= one.target:
                holders.remove(row)
        holders_known = _within_bound(holders)
        one.row = one.row._replace(looked_unix_s=now_unix_s, holders=holders_known)
        if named - known:
            self.seen(one)

    def _sought_s(self, one: Watched) -> float:
        """For how long whoever is named now was looked for.  It may be new: something of its grace
        is left to it."""
        periods = self.periods
        return min(one.row.unknown_s, periods.grace_first_s - periods.grace_min_s)

    def _is_past(self, row: HolderRow) -> bool:
        silent_s = self.fellows.of(PublicKey(row.key)).past.silent_s
        return bool(row.lacks) or silent_s >= 2 * self.periods.grace_max_s

    def made(self, one: Watched, keys: Sequence[PublicKey], now_unix_s: float) -> None:
        """These have just signed for a copy that was made from here."""
        rows = {each.key: each for each in one.row.holders}
        rows.update({bytes(k): HolderRow(k, now_unix_s, now_unix_s, by_block=True) for k in keys})
        one.row = one.row._replace(holders=_within_bound([*rows.values()]))
        self.seen(one)

    def replaced(self, one: Watched) -> list[Copy]:
        """The copies that have just been replaced, each once until its holder is back."""
        health = self.health(one)
        lost = {
            each.holder: each for s in (CopyState.LOST, CopyState.LACKS) for each in health.at(s)
        }
        rows, told = [], []
        for row in one.row.holders:
            copy = lost.get(node_id(PublicKey(row.key)))
            if copy is not None and copy.proven_unix_s and not row.lost:
                told.append(copy)
            rows.append(row._replace(lost=copy is not None))
        one.row = one.row._replace(holders=tuple(rows))
        return told

    def audited(self, one: Watched, key: PublicKey, said: Said, now_unix_s: float) -> None:
        """It was asked for a proof.  Who gives one and was not known is a holder from now on, in
        the place of one that never gave any where all are taken."""
        rows = {each.key: each for each in one.row.holders}
        if not said.lacks and key not in rows and _has_place(rows):
            rows[key] = HolderRow(key)
        if (row := rows.get(key)) is not None:
            if said.lacks and not row.lacks:
                rows = {each.key: each for each in self._doubted(rows.values(), now_unix_s)}
            proven_unix_s = row.proven_unix_s if said.lacks else now_unix_s
            stays = said.stays and not said.lacks
            by_block = (row.by_block or said.by_block) and not said.lacks
            lost = row.lost and bool(said.lacks)  # told of before, and not back since
            told = said.lacks, lost, row.away, stays, 0, by_block
            rows[key] = HolderRow(key, proven_unix_s, now_unix_s, *told, failed=said.failed)
        one.row = one.row._replace(holders=tuple(rows.values()))
        self.seen(one)

    def in_vain(self, one: Watched, key: PublicKey) -> None:
        """It answers, and gave no proof when one was due.  Too often, and its copy is none: who
        announces what it does not hold, or cannot be connected to, would keep all others from
        making a copy."""
        before = one.row.holders
        after = tuple(_once_more(each) if each.key == key else each for each in before)
        one.row = one.row._replace(holders=after)
        if any(old.lacks != new.lacks for old, new in zip(before, after, strict=True)):
            self.seen(one)


def _within_bound(rows: Sequence[HolderRow]) -> tuple[HolderRow, ...]:
    """As many as are remembered; first those go that were found to lack it, then those that proved
    nothing, the newest names first: keys cost nothing."""
    if len(rows) > HOLDERS_KNOWN_MAX:
        rows = sorted(rows, key=lambda row: (bool(row.lacks), not row.proven_unix_s))
    return tuple(rows[:HOLDERS_KNOWN_MAX])


def _has_place(rows: dict[bytes, HolderRow]) -> bool:
    """For one more; the last that proved nothing may have to go for it."""
    if len(rows) < HOLDERS_KNOWN_MAX:
        return True
    unproved = [key for key, row in rows.items() if not row.proven_unix_s]
    return bool(unproved and rows.pop(unproved[-1]))


def _note_target(one: Watched) -> None:
    """More copies are wanted than before: who dropped one that was too many is known to have it
    until it is asked again."""
    row = one.row
    if 0 < row.target < one.target:
        again = (each._replace(audited_unix_s=0.0) for each in row.holders)
        row = row._replace(holders=tuple(again), looked_unix_s=0.0)
    one.row = row._replace(target=one.target)


def _once_more(row: HolderRow) -> HolderRow:
    most = AUDITS_IN_VAIN_MAX if row.proven_unix_s else AUDITS_UNPROVED_MAX
    vain = min(row.vain + 1, most)
    return row._replace(vain=vain, lacks=row.lacks or _PROVES_NOTHING * (vain == most))
