"""The copies of one unit as one of its holders knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from dhtstore.model.identity import DhtKey, NodeId, distance
from dhtstore.params import (
    GRACE_URGENT_SHARE,
    GRACE_URGENT_SUM,
    REPAIR_SLACK_DIVISOR,
    SPARES_MAX,
    UNREACHED_MAX,
)
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import Periods


def repair_below(target: int) -> int:
    """With fewer copies than that, there is something to repair: small targets have no slack."""
    return target - target // REPAIR_SLACK_DIVISOR


class CopyState(StrEnum):
    """How a copy stands."""

    LIVE = "live"  # its holder answers
    AWAY = "away"  # silent, for less than its grace
    LOST = "lost"  # silent for longer
    LACKS = "lacks"  # its holder answers and does not have it


@dataclass(frozen=True, slots=True)
class Copy:
    """One that another node holds.  ``proven_unix_s`` is when an audit proved it last, 0 for
    never; ``lacks`` is why its holder failed the last one, ``stays`` whether it said then that it
    never drops its copy, ``by_block`` whether it gave a proof that takes a block since one of
    them was lost: of small units audits mostly ask for none.  ``sought_s`` is for how long the
    unit's others were looked for before this one was named, ``vain`` how often a proof was due
    since the last and none came."""

    holder: NodeId
    past: PeerPast
    proven_unix_s: float = 0.0
    lacks: str = ""
    stays: bool = False
    by_block: bool = True
    sought_s: float = 0.0
    vain: int = 0

    @property
    def plausible(self) -> bool:
        """Whether there is more to it than a word: it was proved, or its holder was met, and went
        before it was asked to prove it."""
        went = self.past.ever_answered and self.past.silent_s > 0 and not self.vain
        return self.proven_unix_s > 0 or went

    @property
    def silent_s(self) -> float:
        """The observed silence, by which it is judged and which is told: 0 while its holder
        answers.  Who never did was silent from when it was looked for: that it is named later
        begins no new wait."""
        past = self.past
        return past.silent_s + self.sought_s * (past.silent_s > 0 and not past.ever_answered)

    def proved(self, since_unix_s: float, now_unix_s: float) -> bool:
        """Whether it was since then.  What is of a time that is to come was written down while the
        clock was ahead: nobody knows when."""
        return since_unix_s <= self.proven_unix_s <= now_unix_s

    def left_s(self, periods: Periods) -> float:
        """For how long yet it may be silent; 0 for what is lost."""
        return max(0.0, self.past.grace_s(periods) - self.silent_s)

    def state(self, periods: Periods) -> CopyState:
        if self.lacks:
            return CopyState.LACKS
        if not self.silent_s:
            return CopyState.LIVE
        return CopyState.AWAY if self.left_s(periods) else CopyState.LOST


@dataclass(frozen=True, slots=True)
class Health:
    """Of a unit that is here, whole; ``target`` copies are wanted.  ``stays`` is why this node does
    not drop its own, "" if it may.  ``unknown_s`` is for how long it has looked for the others
    without ever hearing of all of them: who is silent is not named to it.  Since ``short_since``
    there are too few and since ``surplus_since`` too many, as far as this node knows; it is away
    itself for ``here_away`` of the time, None if that is not known.  At ``freed_unix_s`` it ceased
    to tell others that its copy stays, if it ever did.  ``made`` copies were signed for so far, the
    own included; None where that is not known."""

    key: DhtKey
    here: NodeId
    target: int
    copies: Sequence[Copy]
    periods: Periods = field(default_factory=Periods)
    stays: str = ""
    unknown_s: float = 0.0
    short_since_unix_s: float | None = None
    surplus_since_unix_s: float | None = None
    here_away: float | None = None
    freed_unix_s: float = 0.0
    made: int | None = None

    def at(self, state: CopyState) -> list[Copy]:
        return [each for each in self.copies if each.state(self.periods) is state]

    @property
    def least(self) -> int:
        """With fewer copies than that, there is something to repair: slack is for what was lost,
        not for what was never made."""
        unmade = self.made is not None and self.made < self.target
        return self.target if unmade else repair_below(self.target)

    @property
    def counted(self) -> int:
        """Copies that are there or will most likely come back, with the one here.  Where nobody
        else answers, and none did for a part of its grace, one of them is not waited for."""
        away = self._awaited if self.urgent else self.at(CopyState.AWAY)
        expected = [each for each in away if not self.lossy or each.plausible]
        return self._with(len(self.live), len(expected))

    @property
    def told(self) -> int:
        """The same where all who answer are believed."""
        return self._with(len(self.at(CopyState.LIVE)), len(self.at(CopyState.AWAY)))

    def _with(self, live: int, away: int) -> int:
        expected = away + self.unheard
        return 1 + live + expected - (self.urgent and expected > 0)

    @property
    def lossy(self) -> bool:
        """Whether one that was known is gone."""
        return bool(self.at(CopyState.LOST) or self.at(CopyState.LACKS))

    @property
    def live(self) -> list[Copy]:
        """Those that answer; for one that is gone none stands in that proved no block."""
        return [each for each in self.at(CopyState.LIVE) if each.by_block or not self.lossy]

    @property
    def urgent(self) -> bool:
        """Whether this may be the last copy, as far as one can see from here: the more are silent,
        and the longer for what is known of each, the less likely it is that one comes back."""
        return self.urgent_left_s <= 0

    @property
    def urgent_left_s(self) -> float:
        """For how long it is not ``urgent`` yet, if nobody is heard; inf while anybody answers who
        ever proved a copy: before one is made, who answers is asked for that."""
        if any(each.proven_unix_s for each in self.at(CopyState.LIVE)):
            return inf
        periods = self.periods
        away = [(each.silent_s, each.past.grace_s(periods)) for each in self._awaited]
        left_s = [periods.grace_min_s - silent_s for silent_s, _ in away]
        if self.unheard:
            unheard_s = max(periods.grace_first_s * GRACE_URGENT_SHARE, periods.grace_min_s)
            left_s.append(unheard_s - self.unknown_s)
        if away:
            enough = GRACE_URGENT_SHARE if len(away) == 1 else GRACE_URGENT_SUM
            lacks = enough - sum(silent_s / grace_s for silent_s, grace_s in away)
            left_s.append(lacks / sum(1 / grace_s for _, grace_s in away))
        return max(left_s, default=0.0)

    @property
    def _awaited(self) -> list[Copy]:
        """Silent ones whose return would be that of a copy: none that never proved theirs, where
        others did."""
        away = self.at(CopyState.AWAY)
        return [each for each in away if each.proven_unix_s] or away

    @property
    def spare(self) -> bool:
        """Whether one copy more than wanted is, or what was let pass as slack: fewer answer now,
        and too often none would."""
        if self.here_away is None or self.unheard:
            return False
        if self.counted < self.least or 1 + len(self._met) >= self.target + SPARES_MAX:
            return False
        if 1 + sum(not each.past.silent_s for each in self._met) >= self.target:
            return False  # nobody would take another
        return self.none_there > UNREACHED_MAX

    @property
    def none_there(self) -> float:
        """The probability that at some moment nobody has it who is there, by what is expected of
        each holder that is or will be, and as if each came and went by itself."""
        away = 0.0 if self.here_away is None else self.here_away
        for each in self._met:
            away *= each.past.expected_away(self.periods)
        return away

    @property
    def _met(self) -> list[Copy]:
        """Those that are there or will most likely come back: any others are but said to be
        holders, if only by themselves."""
        expected = (*self.at(CopyState.LIVE), *self.at(CopyState.AWAY))
        return [each for each in expected if each.past.ever_answered and each.plausible]

    @property
    def unheard(self) -> int:
        """Copies that should be there and were never met: taken for silent ones of which little is
        known.  What was never made is not waited for."""
        if self.unknown_s >= self.periods.grace_first_s:
            return 0
        made = self.target if self.made is None else min(self.made, self.target)
        return max(0, made - 1 - len(self.copies))

    @property
    def lower(self) -> list[Copy]:
        """Those that answer and are closer to the unit's key than this node, the closest first."""
        own = distance(self.here, self.key)
        live = [each for each in self.at(CopyState.LIVE) if distance(each.holder, self.key) < own]
        return sorted(live, key=lambda each: distance(each.holder, self.key))

    @property
    def lasting(self) -> list[Copy]:
        """Those that answer and keep their copy if this node drops its own: the ``lower``, and
        those that never drop theirs."""
        nearer = {each.holder for each in self.lower}
        live = self.at(CopyState.LIVE)
        return [each for each in live if each.stays or each.holder in nearer]

    @property
    def rank(self) -> int:
        """How many those are."""
        return len(self.lower)
