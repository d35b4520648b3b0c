"""One iterative lookup as an object: who to ask next, and what the answers mean.

Kademlia section 2.3 without rounds: ``alpha`` requests are in flight at first, to the quickest of
those that are close; twice as many once somebody answered; and ``k`` once one of the k closest told
of k others, since whoever is there knows who else is, or once answers stop bringing closer nodes or
do not come.  A peer that is late gives back its slot and its place among the k until it answers;
where some failed, so many more are asked as will fail in turn.  A peer that failed is dead to this
lookup for good, whoever names it.

Anybody can be named, and whoever names many that are dead must not make a lookup last: only those
that the caller relies on are waited for to the end.  For the others it waits while answers come.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from dhtstore.dht.core.asking.parts import TreeParts
from dhtstore.dht.core.asking.waits import LookupCandidate, State, Waits
from dhtstore.dht.core.peer import Peer
from dhtstore.params import ALPHA, QUIET_TIMEOUTS, K

_CANDIDATES_MAX: Final = 12 * K  # an answer names at most K; farther ones are forgotten

# Module names: an enum's member costs several lookups, and these are compared all the time.
_FRESH, _ASKED, _LATE = State.FRESH, State.ASKED, State.LATE
_OVERDUE, _ANSWERED, _DEAD = State.OVERDUE, State.ANSWERED, State.DEAD


def _anybody(peer: Peer) -> bool:
    return True


class Lookup:
    """Finds the ``k`` nodes closest to ``target`` that answer.  ``own_id`` is never asked, nor
    whom an answer names and ``admits`` refuses; ``relies_on`` says whose answer is worth waiting
    for.  An answer of nearly anybody takes at most ``soft_timeout_s``, that of one peer what
    ``timeout_of`` says, and ``patience_s`` more where a datagram was lost.

    The caller sends a request to each peer that ``next`` names, reports what came of it, and
    calls ``next`` again then and at ``wake_at``; ``finished`` says when to stop.
    """

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Peer],
        *,
        own_id: bytes,
        soft_timeout_s: float,
        timeout_of: Callable[[Peer], float] | None = None,
        patience_s: float = 0.0,
        k: int = K,
        alpha: int = ALPHA,
        admits: Callable[[Peer], bool] = _anybody,
        relies_on: Callable[[Peer], bool] = _anybody,
    ) -> None:
        self._relies_on = relies_on
        self._admits: Callable[[Peer], bool] = _anybody  # those to begin with
        self.target, self.k, self.alpha = target, k, alpha
        self._target = int.from_bytes(target, "big")
        self._own_id, self._soft_timeout_s = own_id, soft_timeout_s
        self._timeout_of = timeout_of or (lambda _: soft_timeout_s)
        self._waits = Waits(self._timeout_of, patience_s)
        self._known: dict[bytes, LookupCandidate] = {}
        self._ranked, self._parts = list[LookupCandidate](), TreeParts()
        self._without_progress, self._converged = 0, False
        self._heard, self._heard_s = False, math.inf  # it is quiet only once somebody answered
        self._quiet = self._begun = False
        self._learn(seeds)
        self._admits = admits

    def next(self, now: float) -> list[Peer]:
        """The peers to ask now (monotonic seconds); they count as asked."""
        self._look_at_time(now)
        if not self._begun:
            chosen = self._quickest(self.alpha)
            chosen += self._others_relied_on(chosen)
        elif self._converged or self._without_progress >= self.alpha:
            chosen = self._fresh_leaders(self.k + self._spare())
        else:
            window = 2 * self.alpha if self._waits.answers else self.alpha
            chosen = self._fresh_leaders(self.k)[: max(0, window - len(self._waits.in_time))]
        self._begun = True
        for candidate in chosen:
            self._waits.begin(candidate, now)
        return [candidate.peer for candidate in chosen]

    def question(self, peer: Peer) -> bytes:
        """What to ask ``peer`` about.

        All that are close to the target name the same k, of which many may be dead.  So once the
        closest are known each is asked about the point nearest to the target in a part of the tree
        (``TreeParts``): those in the farther half of the k closest name who comes after these."""
        apart = peer.long_id ^ self._target
        if not self._converged or not apart:
            return self.target
        part = 1 << self._parts.to_ask(apart.bit_length()) - 1
        return (self._target ^ part).to_bytes(len(self.target), "big")

    def wake_at(self) -> float | None:
        """When the next slow peer gives up its slot, or it has been quiet for long enough; None if
        nothing comes but answers."""
        if (late_s := self._waits.wake_at()) is not None:
            return late_s
        return None if self._quiet or self._heard_s == math.inf else self._quiet_at()

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None:
        """``peer`` answered and named ``contacts``."""
        candidate = self._known.get(peer.id)
        if candidate is None or candidate.state not in (_ASKED, _LATE, _OVERDUE):
            return
        self._waits.end(candidate, _ANSWERED)
        candidate.peer = peer
        self._parts.answered(candidate.distance)
        self._heard = True
        named = list(contacts)
        self._without_progress = 0 if self._learn(named) else self._without_progress + 1
        if len(named) >= self.k and candidate in self._ranked[: self.k]:
            self._converged = True

    def on_failure(self, peer: Peer) -> None:
        """``peer`` did not answer, or answered nonsense."""
        candidate = self._known.get(peer.id)
        if candidate is not None and candidate.state not in (_ANSWERED, _DEAD):
            if candidate.state is _ASKED:
                self._without_progress += 1
            self._waits.end(candidate, _DEAD)
            self._ranked.remove(candidate)

    @property
    def finished(self) -> bool:
        """Whether the k closest of those that can still count have all answered."""
        answered, overdue = 0, False
        for candidate in self._ranked:  # asked after every answer, so it stops where it can
            if candidate.state is _ANSWERED:
                answered += 1
                if answered == self.k:
                    return True
            elif self._quiet and not self._relied(candidate):
                continue
            elif candidate.state is _OVERDUE:
                overdue = True
            else:
                return False
        return not overdue

    @property
    def asked(self) -> int:
        """How many were asked so far."""
        return sum(c.state is not _FRESH for c in self._known.values())

    @property
    def answered(self) -> int:
        """How many of them answered."""
        return sum(c.state is _ANSWERED for c in self._known.values())

    def result(self) -> list[Peer]:
        """The closest peers that answered, closest first, at most k."""
        return [c.peer for c in self._ranked if c.state is _ANSWERED][: self.k]

    def unanswered(self, reach: int) -> list[Peer]:
        """Those known within ``reach`` of the target, in XOR, that did not answer so far."""
        known = self._known.values()
        return [c.peer for c in known if c.state is not _ANSWERED and c.distance <= reach]

    def _spare(self) -> int:
        """How many of those that have yet to answer will fail, if as many do as before."""
        missing = self.k - sum(one.state is _ANSWERED for one in self._leaders(self.k))
        return min(self.k, self._waits.failures_among(missing))

    def _quickest(self, count: int) -> list[LookupCandidate]:
        """Of twice as many, the closest: whoever is close knows of those that are closer."""
        close = self._fresh_leaders(self.k)[: 2 * count]
        return sorted(close, key=lambda one: self._timeout_of(one.peer))[:count]

    def _fresh_leaders(self, most: int) -> list[LookupCandidate]:
        """Those not asked yet of the leaders."""
        return [one for one in self._leaders(most) if one.state is _FRESH]

    def _leaders(self, most: int) -> list[LookupCandidate]:
        """The ``most`` closest that can still count, closest first."""
        leaders, quiet = list[LookupCandidate](), self._quiet
        for candidate in self._ranked:
            state = candidate.state
            if state is _LATE or state is _OVERDUE or (quiet and not self._relied(candidate)):
                continue
            leaders.append(candidate)
            if len(leaders) == most:
                break
        return leaders

    def _others_relied_on(self, chosen: list[LookupCandidate]) -> list[LookupCandidate]:
        """The closest of them, to fill up to alpha: those closer may all be gone."""
        missing = self.alpha - sum(map(self._relied, chosen))
        others = (one for one in self._ranked if one not in chosen and self._relied(one))
        return list(islice(others, max(missing, 0)))

    def _relied(self, candidate: LookupCandidate) -> bool:
        if candidate.relied is None:  # in most lookups nobody has to know
            candidate.relied = self._relies_on(candidate.peer)
        return candidate.relied

    def _look_at_time(self, now: float) -> None:
        self._without_progress += self._waits.pass_time(now)
        if self._heard:
            self._heard, self._heard_s, self._quiet = False, now, False
        elif not self._quiet:
            self._quiet = now >= self._quiet_at()

    def _quiet_at(self) -> float:
        return self._heard_s + QUIET_TIMEOUTS * self._soft_timeout_s

    def _learn(self, peers: Iterable[Peer]) -> bool:
        """Add candidates; True if one is closer than any known before."""
        closest = self._ranked[0].distance if self._ranked else None
        for peer in peers:
            if peer.id in self._known or peer.id == self._own_id:
                continue
            if self._admits(peer):
                candidate = LookupCandidate(peer, peer.long_id ^ self._target)
                self._known[peer.id] = candidate
                insort(self._ranked, candidate)
        self._forget_far()
        return bool(self._ranked) and (closest is None or self._ranked[0].distance < closest)

    def _forget_far(self) -> None:
        """Of those not asked; one that answered may stand behind them."""
        at = len(self._ranked)
        while len(self._ranked) > _CANDIDATES_MAX and at:
            at -= 1
            if self._ranked[at].state is _FRESH:
                del self._known[self._ranked.pop(at).peer.id]
