"""One iterative lookup as an object: who to ask next, and what the answers mean.

Kademlia section 2.3 without rounds: ``alpha`` requests are in flight; a peer that is slow gives
back its slot and its place among the k until it answers; once answers stop bringing closer nodes
the window widens to k.  A peer that failed is dead to this lookup for good, whoever names it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from enum import Enum
from typing import Final

from dhtstore.dht.peer import Peer
from dhtstore.params import ALPHA, K

_CANDIDATES_MAX: Final = 12 * K  # an answer names at most K; farther ones are forgotten


class State(Enum):
    FRESH = "not asked yet"
    ASKED = "asked, in time"
    LATE = "asked, slower than expected"
    ANSWERED = "answered"
    DEAD = "failed"


class _Candidate:
    __slots__ = ("asked_s", "distance", "peer", "state")

    def __init__(self, peer: Peer, distance: int) -> None:
        self.peer, self.distance = peer, distance
        self.state, self.asked_s = State.FRESH, 0.0

    def __lt__(self, other: _Candidate) -> bool:
        return self.distance < other.distance


class Lookup:
    """Finds the ``k`` nodes closest to ``target`` that answer.  ``own_id`` is never asked.

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
    ) -> None:
        self.target, self.k, self.alpha = target, k, alpha
        self._target = int.from_bytes(target, "big")
        self._own_id = own_id
        self._soft_timeout_s = soft_timeout_s
        self._known: dict[bytes, _Candidate] = {}
        self._ranked: list[_Candidate] = []
        self._without_progress = 0
        self._learn(seeds)

    def next(self, now: float) -> list[Peer]:
        """The peers to ask now (monotonic seconds); they count as asked."""
        self._free_slots(now)
        leaders = self._leaders()
        window = self.k if self._without_progress >= self.alpha else self.alpha
        free = window - sum(1 for c in self._ranked if c.state is State.ASKED)
        chosen = [c for c in leaders if c.state is State.FRESH][: max(0, free)]
        for candidate in chosen:
            candidate.state, candidate.asked_s = State.ASKED, now
        return [candidate.peer for candidate in chosen]

    def wake_at(self) -> float | None:
        """When the next slow peer gives up its slot; None if nobody is awaited in time."""
        asked = [c.asked_s for c in self._ranked if c.state is State.ASKED]
        return min(asked) + self._soft_timeout_s if asked else None

    def on_response(self, peer: Peer, contacts: Iterable[Peer]) -> None:
        """``peer`` answered and named ``contacts``."""
        candidate = self._known.get(peer.id)
        if candidate is None or candidate.state not in (State.ASKED, State.LATE):
            return
        candidate.state, candidate.peer = State.ANSWERED, peer
        self._without_progress = 0 if self._learn(contacts) else self._without_progress + 1

    def on_failure(self, peer: Peer) -> None:
        """``peer`` did not answer, or answered nonsense."""
        candidate = self._known.get(peer.id)
        if candidate is not None and candidate.state is not State.ANSWERED:
            candidate.state = State.DEAD
            self._ranked.remove(candidate)

    @property
    def finished(self) -> bool:
        """Whether the k closest of those that can still count have all answered."""
        leaders = self._leaders()
        if any(c.state is not State.ANSWERED for c in leaders):
            return False
        return len(leaders) >= self.k or not any(c.state is State.LATE for c in self._ranked)

    def result(self) -> list[Peer]:
        """The closest peers that answered, closest first, at most k."""
        return [c.peer for c in self._ranked if c.state is State.ANSWERED][: self.k]

    def _leaders(self) -> list[_Candidate]:
        leaders: list[_Candidate] = []
        for candidate in self._ranked:
            if candidate.state is not State.LATE:
                leaders.append(candidate)
                if len(leaders) == self.k:
                    break
        return leaders

    def _free_slots(self, now: float) -> None:
        # Written as in wake_at: rounding must not make a caller wake too early for ever.
        for candidate in self._ranked:
            if candidate.state is State.ASKED and now >= candidate.asked_s + self._soft_timeout_s:
                candidate.state = State.LATE

    def _learn(self, peers: Iterable[Peer]) -> bool:
        """Add candidates; True if one is closer than any known before."""
        closest = self._ranked[0].distance if self._ranked else None
        for peer in peers:
            if peer.id not in self._known and peer.id != self._own_id:
                candidate = _Candidate(peer, peer.long_id ^ self._target)
                self._known[peer.id] = candidate
                insort(self._ranked, candidate)
        self._forget_far()
        return bool(self._ranked) and (closest is None or self._ranked[0].distance < closest)

    def _forget_far(self) -> None:
        while len(self._ranked) > _CANDIDATES_MAX and self._ranked[-1].state is State.FRESH:
            del self._known[self._ranked.pop().peer.id]
