"""One iterative lookup as an object: who to ask next, and what the answers mean.

Kademlia section 2.3 without rounds: ``alpha`` requests are in flight; a peer that is slow gives
back its slot and its place among the k until it answers; once answers stop bringing closer nodes,
or do not come, the window widens to k.  A peer that failed is dead to this lookup for good, whoever
names it.

Anybody can be named, and whoever names many that are dead must not make a lookup last: only those
that the caller relies on are waited for to the end.  For the others it waits while answers come.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.params import ALPHA, QUIET_TIMEOUTS, K

_CANDIDATES_MAX: Final = 12 * K  # an answer names at most K; farther ones are forgotten


class State(Enum):
    FRESH = "not asked yet"
    ASKED = "asked, in time"
    LATE = "asked, slower than expected"
    ANSWERED = "answered"
    DEAD = "failed"


# Module names: an enum's member costs several lookups, and these are compared all the time.
_FRESH, _ASKED, _LATE = State.FRESH, State.ASKED, State.LATE
_ANSWERED, _DEAD = State.ANSWERED, State.DEAD


class _Candidate:
    __slots__ = ("asked_s", "distance", "peer", "relied", "state")

    def __init__(self, peer: Peer, distance: int) -> None:
        self.peer, self.distance = peer, distance
        self.state, self.asked_s = _FRESH, 0.0
        self.relied: bool | None = None  # until it matters

    def __lt__(self, other: _Candidate) -> bool:
        return self.distance < other.distance


def _anybody(peer: Peer) -> bool:
    return True


class Lookup:
    """Finds the ``k`` nodes closest to ``target`` that answer.  ``own_id`` is never asked, nor
    whom an answer names and ``admits`` refuses; ``relies_on`` says whose answer is worth waiting
    for.

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
        k: int = K,
        alpha: int = ALPHA,
        admits: Callable[[Peer], bool] = _anybody,
        relies_on: Callable[[Peer], bool] = _anybody,
    ) -> None:
        self._relies_on = relies_on
        self._admits: Callable[[Peer], bool] = _anybody  # those to begin with
        self.target, self.k, self.alpha = target, k, alpha
        self._target = int.from_bytes(target, "big")
        self._own_id = own_id
        self._soft_timeout_s = soft_timeout_s
        self._known: dict[bytes, _Candidate] = {}
        self._ranked: list[_Candidate] = []
        self._in_time: list[_Candidate] = []  # asked and not late, in the order of asking
        self._without_progress = 0
        self._heard, self._heard_s = False, math.inf  # it is quiet only once somebody answered
        self._quiet = self._begun = False
        self._learn(seeds)
        self._admits = admits

    def next(self, now: float) -> list[Peer]:
        """The peers to ask now (monotonic seconds); they count as asked."""
        self._look_at_time(now)
        window = self.k if self._without_progress >= self.alpha else self.alpha
        free = window - len(self._in_time)
        if free <= 0:
            return []
        chosen = self._fresh_leaders(free)
        if not self._begun:
            chosen += self._others_relied_on(chosen)
        self._begun = True
        for candidate in chosen:
            candidate.state, candidate.asked_s = _ASKED, now
        self._in_time += chosen
        return [candidate.peer for candidate in chosen]

    def wake_at(self) -> float | None:
        """When the next slow peer gives up its slot, or it has been quiet for long enough; None if
        nothing comes but answers."""
        if self._in_time:
            return self._in_time[0].asked_s + self._soft_timeout_s
        return None if self._quiet or self._heard_s == math.inf else self._quiet_at()

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None:
        """``peer`` answered and named ``contacts``."""
        candidate = self._known.get(peer.id)
        if candidate is None or candidate.state not in (_ASKED, _LATE):
            return
        self._settle(candidate, _ANSWERED)
        candidate.peer = peer
        self._heard = True
        self._without_progress = 0 if self._learn(contacts) else self._without_progress + 1

    def on_failure(self, peer: Peer) -> None:
        """``peer`` did not answer, or answered nonsense."""
        candidate = self._known.get(peer.id)
        if candidate is not None and candidate.state not in (_ANSWERED, _DEAD):
            if candidate.state is _ASKED:
                self._without_progress += 1
            self._settle(candidate, _DEAD)
            self._ranked.remove(candidate)

    @property
    def finished(self) -> bool:
        """Whether the k closest of those that can still count have all answered."""
        answered, late = 0, False
        for candidate in self._ranked:  # asked after every answer, so it stops where it can
            if candidate.state is _ANSWERED:
                answered += 1
                if answered == self.k:
                    return True
            elif self._quiet and not self._relied(candidate):
                continue
            elif candidate.state is _LATE:
                late = True
            else:
                return False
        return not late

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

    def _settle(self, candidate: _Candidate, state: State) -> None:
        if candidate.state is _ASKED:
            self._in_time.remove(candidate)
        candidate.state = state

    def _fresh_leaders(self, count: int) -> list[_Candidate]:
        """Those not asked yet among the k closest that can still count, closest first."""
        fresh, leaders = list[_Candidate](), 0
        quiet, most = self._quiet, self.k
        for candidate in self._ranked:
            state = candidate.state
            if state is _LATE or (quiet and not self._relied(candidate)):
                continue
            if state is _FRESH:
                fresh.append(candidate)
                if len(fresh) == count:
                    break
            leaders += 1
            if leaders == most:
                break
        return fresh

    def _others_relied_on(self, chosen: list[_Candidate]) -> list[_Candidate]:
        """The closest of them, to fill up to alpha: those closer may all be gone."""
        missing = self.alpha - sum(map(self._relied, chosen))
        others = (one for one in self._ranked if one not in chosen and self._relied(one))
        return list(islice(others, max(missing, 0)))

    def _relied(self, candidate: _Candidate) -> bool:
        if candidate.relied is None:  # in most lookups nobody has to know
            candidate.relied = self._relies_on(candidate.peer)
        return candidate.relied

    def _look_at_time(self, now: float) -> None:
        # Written as in wake_at: rounding must not make a caller wake too early for ever.
        while self._in_time and now >= self._in_time[0].asked_s + self._soft_timeout_s:
            self._in_time.pop(0).state = _LATE
            self._without_progress += 1
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
                candidate = _Candidate(peer, peer.long_id ^ self._target)
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
