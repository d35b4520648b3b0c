"""A lookup in a settled network where all latencies are equal: a yardstick, no node code.

What is asked together is answered in that order, one answer at a time, each before whatever is
asked because of it.  So time needs no clock: whom a lookup asks waits in one queue.

The rules are those of ``dht/core/lookup.py`` as told in its first lines, where nobody fails and
nobody is late: ``alpha`` of the closest at first, anyone of the nearest twice as many; ``then`` in
flight once somebody answered; and all of the k closest once one of them told of k others, or once
alpha answers in a row named nobody closer.  Those are asked about different points.
"""

from __future__ import annotations

import bisect
import functools
import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dhtstore.params import ALPHA, K

_BITS = 64  # of an id here: more than enough to tell nodes apart


@dataclass(frozen=True, slots=True)
class Rules:
    """How many are in flight ``alpha`` at first, ``then`` later; whether it ``ends_at_once`` with
    all of the k closest, and begins with the nearest only or anyone of twice as many (``near``)."""

    alpha: int = ALPHA
    then: int = 2 * ALPHA
    ends_at_once: bool = True
    near: int = 2 * ALPHA


TODAY = Rules()
IN_ROUNDS = Rules(then=ALPHA, ends_at_once=False, near=ALPHA)  # as papers have it


@dataclass(frozen=True, slots=True)
class Hops:
    """Of the closest node: 1 if it stood in the own table, else 1 + the depth of the chain of
    answers that named it ``first``, or of the ``shortest`` one that did; means, and how many were
    ``asked``."""

    first: float
    shortest: float
    asked: float


class LookupModel:
    """A settled network of ``nodes`` nodes: each knows ``k`` random members of every bucket, or
    all of them where there are fewer."""

    def __init__(self, nodes: int, seed: int, k: int = K) -> None:
        self._k, self._rng = k, random.Random(seed)
        self._ids = sorted({self._rng.getrandbits(_BITS) for _ in range(nodes)})
        self._table = functools.cache(self._draw_table)

    def mean_hops(self, lookups: int, rules: Rules = TODAY) -> Hops:
        """Of random keys, by random nodes."""
        found = [self._look_up(rules) for _ in range(lookups)]
        first, shortest, asked = (sum(one) / lookups for one in zip(*found, strict=True))
        return Hops(first, shortest, asked)

    def _look_up(self, rules: Rules) -> tuple[int, int, int]:
        own, target = self._rng.choice(self._ids), self._rng.getrandbits(_BITS)
        lookup = _Lookup(own, target, self._closest(own, target), rules, self._k)
        lookup.begin(self._rng)
        while lookup.waiting and not lookup.finished:
            node, point = lookup.waiting.popleft()
            lookup.answered(node, self._closest(node, point))
        best = lookup.ranked[0]
        return lookup.first[best], lookup.shortest[best], len(lookup.asked)

    def _closest(self, node: int, target: int) -> list[int]:
        return heapq.nsmallest(self._k, self._table(node), key=target.__xor__)

    def _draw_table(self, own: int) -> Sequence[int]:
        table, low, high = list[int](), 0, len(self._ids)
        for bit in range(_BITS - 1, -1, -1):
            middle = bisect.bisect_left(self._ids, (own >> bit | 1) << bit, low, high)
            other, (low, high) = (
                (range(low, middle), (middle, high))
                if own >> bit & 1
                else (range(middle, high), (low, middle))
            )
            chosen = self._rng.sample(other, self._k) if len(other) > self._k else other
            table += [self._ids[at] for at in chosen]
            if high - low <= 1:
                break
        return table


class _Lookup:
    """``waiting``: who is asked and about which point; ``ranked``: who is known, closest first."""

    def __init__(self, own: int, target: int, known: list[int], rules: Rules, k: int) -> None:
        self._own, self._target, self._rules, self._k = own, target, rules, k
        self.ranked = known
        self.first, self.shortest = dict.fromkeys(known, 1), dict.fromkeys(known, 1)
        self.waiting: deque[tuple[int, int]] = deque()
        self.asked, self._done = set[int](), set[int]()
        self._in_vain, self._at_the_end = 0, False

    @property
    def finished(self) -> bool:
        return self._done.issuperset(self.ranked[: self._k])

    def begin(self, rng: random.Random) -> None:
        near = self.ranked[: self._rules.near]
        self._ask(rng.sample(near, min(self._rules.alpha, len(near))))

    def answered(self, node: int, named: list[int]) -> None:
        best = self.ranked[0]
        self._done.add(node)
        self._learn(node, named)
        self._in_vain = 0 if self.ranked[0] != best else self._in_vain + 1
        if len(named) >= self._k and node in self.ranked[: self._k]:
            self._at_the_end = self._rules.ends_at_once
        self._ask_more()

    def _learn(self, node: int, named: list[int]) -> None:
        first, shortest = self.first[node] + 1, self.shortest[node] + 1
        for one in named:
            if one != self._own:
                if one not in self.first:
                    self.first[one] = first
                    bisect.insort(self.ranked, one, key=self._target.__xor__)
                self.shortest[one] = min(self.shortest.get(one, shortest), shortest)

    def _ask_more(self) -> None:
        fresh = [one for one in self.ranked[: self._k] if one not in self.asked]
        together = self._rules.ends_at_once and self._in_vain >= self._rules.alpha
        if not (self._at_the_end or together):
            fresh = fresh[: max(0, self._rules.then - len(self.waiting))]
        self._ask(fresh)

    def _ask(self, chosen: list[int]) -> None:
        self.asked.update(chosen)
        self.waiting.extend((one, self._point(one)) for one in chosen)

    def _point(self, node: int) -> int:
        """Before the end everybody is asked about the target, then each about the point nearest to
        it in its own part of the tree."""
        apart = node ^ self._target
        if not self._at_the_end or not apart:
            return self._target
        return self._target ^ 1 << apart.bit_length() - 1
