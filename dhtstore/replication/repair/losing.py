"""How likely a unit is lost for good: from how often its holders are, and how long repair takes.

Each copy is a place that is filled or empty.  Its holder is lost for good at a rate; so long
after that (it is noticed, and a copy is made from another) the place is filled again, by itself
and whatever the others do.  The unit is lost when all places are empty at once.  With u the
probability that a place is empty by a time, U = the product of all u, the unit is lost at that
time at the rate

    h = sum over places j of  rate_j (1 - u_j) (product of the other u)  /  (1 - U)

which is exact for one copy, and where nobody repairs; else it holds as far as losses are rare
beside repairs (K. Trivedi, Probability and Statistics, chapter 6: systems whose parts fail and are
repaired independently of each other).  docs/replication.md has it in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhtstore.params import LOSS_PRIOR_YEARS, LOSSES_PRIOR, YEAR_S
from dhtstore.replication.health.copies import Copy, CopyState, Health, repair_below
from dhtstore.replication.health.periods import Periods

_STEPS: Final = 128
_STEPS_BEND: Final = 3  # more of them at the beginning, where what is empty now is filled


@dataclass(frozen=True, slots=True)
class LossRate:
    """What was seen of holders: watched for ``watched_s`` in sum, of whom ``gone`` never came
    back."""

    watched_s: float = 0.0
    gone: int = 0

    @property
    def per_year(self) -> float:
        """Of a holder of which nothing is known.  Beside what was seen counts what is assumed, as
        LOSSES_PRIOR losses in LOSS_PRIOR_YEARS: the mean of a gamma distribution with both."""
        years = LOSS_PRIOR_YEARS + max(0.0, self.watched_s) / YEAR_S
        return (LOSSES_PRIOR + self.gone) / years

    @property
    def measured(self) -> bool:
        """Whether what was seen weighs more than what is assumed."""
        return self.watched_s >= LOSS_PRIOR_YEARS * YEAR_S

    def of_watched(self, watched_s: float) -> float:
        """Of a holder that was watched for so long and is there: the longer, the lower."""
        return 1 / (1 / self.per_year + max(0.0, watched_s) / YEAR_S)


@dataclass(frozen=True, slots=True)
class CopySlot:
    """Of one copy: its holder is lost for good ``per_year``; it is filled again so many seconds
    after that, never if None; ``empty`` is the probability that it is empty now."""

    per_year: float
    refilled_s: float | None
    empty: float = 0.0

    def empty_after(self, years: float) -> float:
        """The probability that it is empty then."""
        refilled = 0.0 if self.refilled_s is None else YEAR_S / max(1.0, self.refilled_s)
        both = self.per_year + refilled
        if both <= 0:
            return self.empty
        lasting = self.per_year / both
        return lasting + (self.empty - lasting) * math.exp(-both * years)


def lost_within(slots: Sequence[CopySlot], years: float = 1.0) -> float:
    """The probability that all of them are empty at once, some time in so many years."""
    lost = math.prod(each.empty for each in slots)
    before, before_years, summed = _rate(slots, 0.0), 0.0, 0.0
    for step in range(1, _STEPS + 1):
        now_years = years * (step / _STEPS) ** _STEPS_BEND
        now = _rate(slots, now_years)
        summed += (before + now) / 2 * (now_years - before_years)
        before, before_years = now, now_years
    return lost - (1 - lost) * math.expm1(-summed)


def _rate(slots: Sequence[CopySlot], years: float) -> float:
    """At which the unit is lost then, where it was not yet."""
    empty = [each.empty_after(years) for each in slots]
    left = 1 - math.prod(empty)
    if left <= 0:
        return 0.0  # it is lost already
    lost = 0.0
    for at, each in enumerate(slots):
        others = math.prod(empty[:at]) * math.prod(empty[at + 1 :])
        lost += each.per_year * (1 - empty[at]) * others
    return lost / left


def slots_of(health: Health, rate: LossRate, *, repaired: bool) -> list[CopySlot]:
    """Of a unit that is here; ``repaired`` is whether holders may make copies of it.  Holders that
    are silent, or were never heard of, count as gone by as much as their grace is used up.  Of many
    replicas those alone count of which one that is missing is made again."""
    periods = health.periods
    own = CopySlot(rate.per_year, _refilled_s(periods.grace_max_s, periods, repaired=repaired))
    there = [*health.at(CopyState.LIVE), *health.at(CopyState.AWAY)]
    others = [_slot(each, rate, periods, repaired=repaired) for each in there]
    unheard = min(1.0, health.unknown_s / periods.grace_first_s)
    usual_s = _refilled_s(periods.grace_first_s, periods, repaired=repaired)
    others += [CopySlot(rate.per_year, usual_s, unheard)] * health.unheard
    others.sort(key=lambda each: (each.empty, each.per_year))
    return _as_many([own, *others], health.target, own)


def slots_believed(copies: int, target: int, rate: LossRate, *, repaired: bool) -> list[CopySlot]:
    """Where it is known only how many copies there are."""
    periods = Periods()
    usual = CopySlot(rate.per_year, _refilled_s(periods.grace_first_s, periods, repaired=repaired))
    return _as_many([usual] * copies, target, usual)


def _as_many(slots: list[CopySlot], target: int, usual: CopySlot) -> list[CopySlot]:
    """So many as are kept at least, those that are missing now empty; without any copy none."""
    if not slots:
        return []
    wanted = repair_below(target)
    missing = [CopySlot(usual.per_year, usual.refilled_s, 1.0)] * max(0, wanted - len(slots))
    return [*slots[: max(1, wanted)], *missing]


def _slot(copy: Copy, rate: LossRate, periods: Periods, *, repaired: bool) -> CopySlot:
    past = copy.past
    grace_s = past.grace_s(periods)
    per_year = rate.of_watched(past.watched_s)
    empty = min(1.0, copy.silent_s / grace_s) if grace_s > 0 else float(copy.silent_s > 0)
    return CopySlot(per_year, _refilled_s(grace_s, periods, repaired=repaired), empty)


def _refilled_s(grace_s: float, periods: Periods, *, repaired: bool) -> float | None:
    """A loss is noticed after the grace, at the next round, and repaired by whose turn it is."""
    return grace_s + periods.ping_s + periods.look_s if repaired else None
