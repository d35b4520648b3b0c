"""Who keeps a place where all places of one key are taken, and who is named first.

A key has so few places that all of them can be looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from dhtstore.dht.core.stores.held import HeldRecord, Standing
from dhtstore.params import PROVIDERS_PER_ORIGIN_MAX

# Withdrawn, more of its origin than the share, not reached, how many of its origin: the highest
# goes first.
_Weight = tuple[bool, bool, bool, int]


def first_to_go(held: Iterable[HeldRecord], newcomer: Standing) -> HeldRecord | None:
    """Who makes room for ``newcomer``: of those that go first the oldest; None if that is itself.

    Those of our own site count as reached, and as alone."""
    held = list(held)
    crowds = Counter(one.standing.origin for one in held)
    crowds[newcomer.origin] += 1
    weights = [_weight(one.standing, crowds, one.withdrawn) for one in held]
    heaviest = max(weights)
    first = heaviest > _weight(newcomer, crowds, withdrawn=False)
    return held[weights.index(heaviest)] if first else None


def _weight(standing: Standing, crowds: Counter[bytes], withdrawn: bool) -> _Weight:
    count = 0 if standing.ours else crowds[standing.origin]
    return withdrawn, count > PROVIDERS_PER_ORIGIN_MAX, not standing.reached, count


def in_turn(held: Sequence[HeldRecord]) -> Sequence[HeldRecord]:
    """Those that can be reached first, and of each origin one before the second of another; those
    of our own site count as alone."""
    if len(held) < 2:
        return held
    seen: Counter[bytes] = Counter()
    turns = []
    for at, one in enumerate(held):
        standing = one.standing
        turns.append((not standing.reached, seen[standing.origin], at))
        seen[standing.origin] += not standing.ours
    return [held[at] for _, _, at in sorted(turns)]
