"""Who keeps a place where all places of one key are taken, and who is named first.

A key has so few places that all of them can be looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from dhtstore.dht.core.stores.held import HeldRecord, Standing
from dhtstore.dht.core.stores.liveness import Liveness
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import PROVIDERS_PER_ORIGIN_MAX

# Withdrawn, silent, more of its origin than the share, not reached, how many of its origin: the
# highest goes first.
_Weight = tuple[bool, bool, bool, bool, int]


def first_to_go(
    held: Iterable[HeldRecord],
    newcomer: Standing,
    silent: Callable[[bytes], bool] = lambda signer: False,
) -> HeldRecord | None:
    """Who makes room for ``newcomer``: of those that go first the oldest; None if that is itself.
    ``silent`` tells of a signer whether it answers no more.

    Those of our own site count as reached, and as alone."""
    held = list(held)
    crowds = Counter(one.standing.origin for one in held)
    crowds[newcomer.origin] += 1
    weights = [
        _weight(one.standing, crowds, one.withdrawn, silent(one.record.public_key)) for one in held
    ]
    heaviest = max(weights)
    first = heaviest > _weight(newcomer, crowds, withdrawn=False, silent=False)
    return held[weights.index(heaviest)] if first else None


def _weight(standing: Standing, crowds: Counter[bytes], withdrawn: bool, silent: bool) -> _Weight:
    count = 0 if standing.ours else crowds[standing.origin]
    return withdrawn, silent, count > PROVIDERS_PER_ORIGIN_MAX, not standing.reached, count


def named(held: Iterable[HeldRecord], lives: Liveness, now: float) -> list[ProviderRecord]:
    """Records in time whose signers are not silent: of those who ever proved that they live first,
    of those who can be reached before others, of each origin one before the second of another."""
    live = [one for one in _in_time(held, now) if not lives.silent(one.record.public_key)]
    return [one.record for one in _in_turn(live, lives, now)]


def silent(held: Iterable[HeldRecord], lives: Liveness, now: float) -> list[ProviderRecord]:
    """The other records in time, whose signers answered once and do so no more."""
    records = (one.record for one in _in_time(held, now))
    return [record for record in records if lives.silent(record.public_key)]


def withdrawn(held: Iterable[HeldRecord], now: float) -> list[ProviderRecord]:
    """Withdrawals that are remembered, the newest first."""
    taken_back = [one.record for one in held if one.withdrawn and one.expires_s > now]
    return sorted(taken_back, key=lambda record: -record.issued)


def _in_time(held: Iterable[HeldRecord], now: float) -> list[HeldRecord]:
    return [one for one in held if one.expires_s > now and not one.withdrawn]


def _in_turn(held: Sequence[HeldRecord], lives: Liveness, now: float) -> Sequence[HeldRecord]:
    """Those of our own site count as alone."""
    if len(held) < 2:
        return held
    seen: Counter[bytes] = Counter()
    turns = []
    for at, one in enumerate(held):
        standing = one.standing
        unproved = lives.proved_ago_s(one.record.public_key, now) is None
        turns.append((unproved, not standing.reached, seen[standing.origin], at))
        seen[standing.origin] += not standing.ours
    return [held[at] for *_, at in sorted(turns)]
