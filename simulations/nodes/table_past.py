"""Whom a routing table holds in a network that has run for long, and what it knows of them.

A node that comes fills its buckets with nodes that are up; a contact that goes stays until so many
pings of it were in vain, and whoever takes its place is one of those up then.  So who has been up
for long is in many tables, and the dead are there for as long as upkeep takes to find out.  Nothing
of this is set by hand: how long machines stay comes from their own pasts, how long the dead are
kept from the parameters of the node.

Who is behind a NAT is heard only when it asks itself, once an hour as everybody does that knows
us; from then on it is to us like one that went.  Full buckets have no room for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from dhtstore.params import (
    BUCKET_REFRESH_INTERVAL_S,
    MAINTENANCE_INTERVAL_S,
    PEER_FAILURES_MAX,
    STANDING_S,
    K,
)
from simulations.world.network.machine import NAT_MAPPING_S

# So old is the network: with sessions as long-tailed as measured, its tables change for ever.
_NETWORK_AGE_S: Final = 24 * 3600.0
# Asked after an hour of silence at the latest, then again in each round; see ``Upkeep``.
KEPT_MAX_S: Final = BUCKET_REFRESH_INTERVAL_S + PEER_FAILURES_MAX * MAINTENANCE_INTERVAL_S
_KEPT_MEAN_S: Final = KEPT_MAX_S - MAINTENANCE_INTERVAL_S / 2
# Of the time, how much one that is hidden is known: until it is given up after its last word, and
# not until its next one, within the hour.  Two that are hidden hear each other where one asks
# while its own NAT still has room for the other.
_KNOWN_IF_HIDDEN: Final = _KEPT_MEAN_S / (_KEPT_MEAN_S + BUCKET_REFRESH_INTERVAL_S / 2)
_BOTH_HIDDEN: Final = 2 * NAT_MAPPING_S / BUCKET_REFRESH_INTERVAL_S
_KNOWN_IF_BOTH: Final = _BOTH_HIDDEN * _KEPT_MEAN_S / BUCKET_REFRESH_INTERVAL_S
_TRIES_PER_PLACE: Final = 16
_PAIRS: Final = 2000  # that the turnover is estimated from
_ROUNDS: Final = 3


class Past(NamedTuple):
    """Of one machine, in seconds before now: since when its node has run (it has not if it is
    ``gone_s`` already), and since when tables know it, for which a short absence is none."""

    runs_s: float
    known_s: float
    gone_s: float
    hidden: bool

    @property
    def remembered(self) -> bool:
        """Whether it can still stand in a table."""
        return self.gone_s < KEPT_MAX_S


class KnownContact(NamedTuple):
    """What a table knows of a contact: how long ago it was met and heard last (seconds), and what
    it has not answered since; who is ``young`` is not believed in yet."""

    met_s: float
    heard_s: float
    failures: int
    dead_pings: int
    young: bool


def past_of(durations_s: Iterator[float], *, up: bool, hidden: bool) -> Past:
    """From the present state of a machine, how long it has lasted, and the states before."""
    first_s = min(next(durations_s), _NETWORK_AGE_S)
    gone_s = 0.0 if up else first_s
    known_s = first_s if up else first_s + next(durations_s, _NETWORK_AGE_S)
    if gone_s < KEPT_MAX_S:
        for absence_s in takewhile(lambda s: s < _KEPT_MEAN_S, durations_s):
            if known_s >= _NETWORK_AGE_S:
                break
            known_s += absence_s + next(durations_s)
    return Past(first_s, min(known_s, _NETWORK_AGE_S + gone_s), gone_s, hidden)


def turnover_per_s(pasts: Sequence[Past], rng: random.Random) -> float:
    """How often an entry of a full bucket is replaced: by those that left an hour ago and were not
    seen since, weighed by how many tables they are in."""
    up = [past for past in pasts if not past.gone_s]
    left = [past for past in pasts if BUCKET_REFRESH_INTERVAL_S <= past.gone_s < KEPT_MAX_S]
    if not left or not up:
        return 0.0
    share, per_s = len(left) / len(up), 1 / _NETWORK_AGE_S
    pairs = [(rng.choice(up).runs_s, rng.choice(up), rng.choice(left)) for _ in range(_PAIRS)]
    for _ in range(_ROUNDS):
        stay = sum(_weight(age_s, one, per_s) for age_s, one, _ in pairs)
        went = sum(_weight(age_s, one, per_s) for age_s, _, one in pairs)
        per_s = share * went / stay / (KEPT_MAX_S - BUCKET_REFRESH_INTERVAL_S)
    return per_s


def _weight(age_s: float, other: Past, per_s: float) -> float:
    """In proportion to how likely ``other`` got into a full bucket of a node of that age: at its
    start, or when a place became free."""
    together_s = min(age_s, other.known_s) - other.gone_s
    return 0.0 if together_s <= 0 else (other.known_s >= age_s) + per_s * together_s


class TablePast:
    """Of one node, among ``others``: all that tables may hold, in order of their ids."""

    def __init__(self, own: Past, others: Sequence[Past], per_s: float, rng: random.Random) -> None:
        self._own, self._others, self._per_s, self._rng = own, others, per_s, rng
        self.neighbours_s = min(own.runs_s, _lately(rng))

    def bucket(self, low: int, high: int, near: float) -> list[tuple[int, KnownContact]]:
        """Of the others from ``low`` to ``high - 1``, whom the bucket of their range holds.
        ``near`` is the share of them that a lookup of our own id asks."""
        found = self._drawn(low, high, near) if high - low > 2 * K else None
        return self._sifted(low, high, near) if found is None else found

    def _drawn(self, low: int, high: int, near: float) -> list[tuple[int, KnownContact]] | None:
        """Of very many, drawn one by one; None if too few can be drawn."""
        random_, age_s, per_s, others = (
            self._rng.random,
            self._own.runs_s,
            self._per_s,
            self._others,
        )
        found, most, width = dict[int, KnownContact](), 1 + per_s * age_s, high - low
        for _ in range(_TRIES_PER_PLACE * K):
            at = low + int(random_() * width)
            other = others[at]
            if other.hidden or at in found:
                continue
            weight = _weight(age_s, other, per_s)
            if random_() * most < weight and (known := self._open(other, near, weight)):
                found[at] = known
                if len(found) == K:
                    return list(found.items())
        return None

    def _sifted(self, low: int, high: int, near: float) -> list[tuple[int, KnownContact]]:
        """Each of them that is known, unless there are too many."""
        rng, per_s, found = self._rng, self._per_s, list[tuple[float, int, KnownContact]]()
        some = sum(not one.hidden for one in self._others[low:high]) <= K
        hidden = list[int]()
        for at in range(low, high):
            other = self._others[at]
            if other.hidden:
                hidden.append(at)
            elif weight := _weight(self._own.runs_s, other, per_s):
                known = self._open(other, near, 0.0 if some else weight)
                if known is not None:
                    found.append((rng.expovariate(1.0) / weight, at, known))
        found.sort()
        chosen = [(at, known) for _, at, known in found[:K]]
        return chosen + list(self._hidden(hidden, K - len(chosen), near))

    def _open(self, other: Past, near: float, weight: float) -> KnownContact | None:
        """What is known of one that everybody can ask, if it was not given up; ``weight`` is 0.0
        where there was room for it as soon as it came."""
        rng, gone_s = self._rng, other.gone_s
        met_s = min(self._own.runs_s, other.known_s)
        if weight and (other.known_s < self._own.runs_s or rng.random() * weight >= 1.0):
            met_s = rng.uniform(gone_s, met_s)
        failures, first_ping_s = (
            0,
            BUCKET_REFRESH_INTERVAL_S + rng.random() * MAINTENANCE_INTERVAL_S,
        )
        if near and rng.random() < near:
            heard_s = self.neighbours_s
            while heard_s < gone_s:
                heard_s += first_ping_s
                failures += 1
        else:
            heard_s = gone_s + rng.random() * first_ping_s
        young = heard_s > met_s - STANDING_S
        heard_s = min(heard_s, met_s)
        dead_pings = _pings_after(first_ping_s, heard_s) if gone_s else 0
        if failures + dead_pings >= (1 if young else PEER_FAILURES_MAX):
            return None
        return KnownContact(met_s, heard_s, failures, dead_pings, young)

    def _hidden(
        self, some: list[int], room: int, near: float
    ) -> Iterator[tuple[int, KnownContact]]:
        """Of those behind a NAT, the ones known, as far as there is room."""
        rng = self._rng
        known = _KNOWN_IF_BOTH if self._own.hidden else _KNOWN_IF_HIDDEN
        rng.shuffle(some)
        for at in some:
            other = self._others[at]
            if room <= 0 or rng.random() >= known:
                continue
            first_ping_s = BUCKET_REFRESH_INTERVAL_S + rng.random() * MAINTENANCE_INTERVAL_S
            heard_s = other.gone_s + rng.random() * _KEPT_MEAN_S
            failures = int(self.neighbours_s < heard_s and rng.random() < near)
            if heard_s < min(self._own.runs_s, _KEPT_MEAN_S):
                dead_pings = _pings_after(first_ping_s, heard_s)
                dead_pings = min(dead_pings, PEER_FAILURES_MAX - 1 - failures)
                room -= 1
                yield at, KnownContact(other.known_s, heard_s, failures, dead_pings, young=False)


def _pings_after(first_s: float, silent_s: float) -> int:
    """How many pings one was sent that has been silent for so long: the first after an hour, one
    in each round from then on."""
    if silent_s < first_s:
        return 0
    return 1 + int((silent_s - first_s) / MAINTENANCE_INTERVAL_S)


def _lately(rng: random.Random) -> float:
    """How long ago, in seconds, something was done that is done every hour."""
    return rng.random() * (BUCKET_REFRESH_INTERVAL_S + MAINTENANCE_INTERVAL_S / 2)
