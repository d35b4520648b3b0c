"""Who has not stood the test of time yet.

Keys cost nothing, and a key that was seen alive once may be gone a second later; who has been up
for a while will most likely stay up (Kademlia section 2.4).  So a table believes in a node once
it has answered twice with STANDING_S between: until then it goes at its first silence, no lookup
waits for it, and one origin has NEWCOMERS_PER_ORIGIN_MAX of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from dhtstore.dht.core.crowds import Crowds
from dhtstore.dht.core.peer import Peer
from dhtstore.params import NEWCOMER_PROBE_S, NEWCOMERS_PER_ORIGIN_MAX, STANDING_S


class YoungPeers:
    """Those entries of a table that answered for less than STANDING_S so far.  ``now`` is
    monotonic seconds."""

    __slots__ = ("_crowds", "_met", "_per_origin")

    def __init__(self, crowds: Crowds) -> None:
        self._crowds = crowds
        self.clear()

    def clear(self) -> None:
        """The table was emptied."""
        self._met: dict[bytes, tuple[Peer, float]] = {}
        self._per_origin: dict[bytes, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._met)

    def __contains__(self, peer: Peer) -> bool:
        return peer.id in self._met

    def all(self) -> tuple[tuple[Peer, float], ...]:
        """Each with when it answered first."""
        return tuple(self._met.values())

    def enter(self, peer: Peer, now: float) -> None:
        """It answered for the first time, or for the first time from there."""
        self.leave(peer)
        self._met[peer.id] = peer, now
        self._per_origin.setdefault(peer.subnet, {})[peer.id] = None

    def leave(self, peer: Peer) -> None:
        """It went from the table, or is believed in from now on."""
        met = self._met.pop(peer.id, None)
        if met is not None:
            origin = self._per_origin[met[0].subnet]
            del origin[peer.id]
            if not origin:
                del self._per_origin[met[0].subnet]

    def heard(self, peer: Peer, now: float) -> None:
        """It answered again."""
        met = self._met.get(peer.id)
        if met is None:
            return
        if met[0].address != peer.address:
            self.enter(peer, now)
        elif now - met[1] >= STANDING_S:
            self.leave(peer)

    def stood(self, peer: Peer, at_least_s: float, now: float) -> bool:
        """Whether it is a newcomer, and has been one for so long."""
        met = self._met.get(peer.id)
        return met is not None and now - met[1] >= at_least_s

    def due(self, peer: Peer, heard_s: float, now: float) -> bool:
        """Whether ``peer``, last heard then, is a newcomer to ask again before others hear of it:
        after NEWCOMER_PROBE_S, since most that go are gone by then, and when it may be believed."""
        met = self._met.get(peer.id)
        if met is None:
            return False
        waits_s = NEWCOMER_PROBE_S if heard_s - met[1] < NEWCOMER_PROBE_S else STANDING_S
        return now >= met[1] + waits_s

    def among(self, peers: Iterable[Peer]) -> list[Peer]:
        """Those of ``peers`` that are here."""
        met = self._met
        return [one for one in peers if one.id in met] if met else []

    def crowded(self, peer: Peer) -> bool:
        """Whether others stand in the way of one more of that origin: not while it has its share,
        nor in an origin that is our own."""
        origin = self._per_origin.get(peer.subnet)
        if origin is None or len(origin) < NEWCOMERS_PER_ORIGIN_MAX:
            return False
        return not self._crowds.near(peer)

    def crowd_of(self, peer: Peer) -> list[Peer]:
        """Those others, as they came."""
        if not self.crowded(peer):
            return []
        return [self._met[node][0] for node in self._per_origin[peer.subnet]]
