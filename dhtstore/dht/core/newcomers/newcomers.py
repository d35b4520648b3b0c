"""Who has not stood the test of time yet.

Keys cost nothing, and a key that was seen alive once may be gone a second later; who has been up
for a while will most likely stay up (Kademlia section 2.4).  So a table believes in a node once
it has answered twice with STANDING_S between: until then it goes at its first silence, no lookup
waits for it, and one origin has NEWCOMERS_PER_ORIGIN_MAX of them.

Of whom others hear it is asked again when STANDING_S are over, and before, after NEWCOMER_PROBE_S,
since most that go are gone by then.  Where none goes that is asked in vain: so of NEWCOMERS_SAMPLED
only one is asked early, and all of them while one was silent within STANDING_S.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Set
from typing import Final, NamedTuple

from dhtstore.dht.core.crowds import Crowds
from dhtstore.dht.core.peer import Peer
from dhtstore.params import (
    NEWCOMER_PROBE_S,
    NEWCOMERS_PER_ORIGIN_MAX,
    NEWCOMERS_SAMPLED,
    STANDING_S,
)


class _Young(NamedTuple):
    """One newcomer, and when it answered first; ``due_s`` is when to ask it again before others
    hear of it, and ``wary_due_s`` the same while newcomers fall silent."""

    peer: Peer
    met_s: float
    due_s: float
    wary_due_s: float


_DUE: Final = _Young._fields.index("due_s")
_WARY_DUE: Final = _Young._fields.index("wary_due_s")


class YoungPeers:
    """Those entries of a table that answered for less than STANDING_S so far.  ``now`` is
    monotonic seconds."""

    __slots__ = ("_crowds", "_entered", "_met", "_per_origin", "_silent_s")

    def __init__(self, crowds: Crowds) -> None:
        self._crowds, self._entered = crowds, 0
        self.clear()

    def clear(self) -> None:
        """The table was emptied."""
        self._met: dict[bytes, _Young] = {}
        self._silent_s = -math.inf
        self._per_origin: dict[bytes, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._met)

    def __contains__(self, peer: Peer) -> bool:
        return peer.id in self._met

    @property
    def ids(self) -> Set[bytes]:
        """Theirs."""
        return self._met.keys()

    def all(self) -> tuple[tuple[Peer, float], ...]:
        """Each with when it answered first."""
        return tuple((young.peer, young.met_s) for young in self._met.values())

    def enter(self, peer: Peer, now: float) -> None:
        """It answered for the first time, or for the first time from there."""
        self.leave(peer)
        soon_s, stands_s = now + NEWCOMER_PROBE_S, now + STANDING_S
        due_s = stands_s if self._entered % NEWCOMERS_SAMPLED else soon_s
        self._entered += 1
        self._met[peer.id] = _Young(peer, now, due_s, soon_s)
        self._per_origin.setdefault(peer.subnet, {})[peer.id] = None

    def leave(self, peer: Peer) -> None:
        """It went from the table, or is believed in from now on."""
        met = self._met.pop(peer.id, None)
        if met is not None:
            origin = self._per_origin[met.peer.subnet]
            del origin[peer.id]
            if not origin:
                del self._per_origin[met.peer.subnet]

    def heard(self, peer: Peer, now: float) -> None:
        """It answered again."""
        met = self._met.get(peer.id)
        if met is None:
            return
        if met.peer.address != peer.address:
            self.enter(peer, now)
        elif now - met.met_s >= STANDING_S:
            self.leave(peer)
        elif now - met.met_s >= NEWCOMER_PROBE_S:
            stands_s = met.met_s + STANDING_S
            self._met[peer.id] = met._replace(due_s=stands_s, wary_due_s=stands_s)

    def silent(self, peer: Peer, now: float) -> None:
        """It did not answer: if it is one of these, so may others be."""
        if peer.id in self._met:
            self._silent_s = now

    def due(self, peers: Iterable[Peer], now: float) -> list[Peer]:
        """Those of ``peers`` to ask again, since others hear of them."""
        return self._due(peers, now, wary=now - self._silent_s < STANDING_S)

    def _due(self, peers: Iterable[Peer], now: float, *, wary: bool) -> list[Peer]:
        get, due_at = self._met.get, _WARY_DUE if wary else _DUE
        return [one for one in peers if (young := get(one.id)) is not None and young[due_at] <= now]

    def crowded(self, peer: Peer) -> bool:
        """Whether others stand in the way of one more of that origin: not while it has its share,
        nor in an origin that is our own."""
        origin = self._per_origin.get(peer.subnet)
        if origin is None or len(origin) < NEWCOMERS_PER_ORIGIN_MAX:
            return False
        return not self._crowds.near(peer)

    def in_the_way(self, peer: Peer, now: float) -> list[Peer]:
        """Those others that were not heard for a while, and so may be gone."""
        if not self.crowded(peer):
            return []
        crowd = [self._met[node].peer for node in self._per_origin[peer.subnet]]
        return self._due(crowd, now, wary=True)
