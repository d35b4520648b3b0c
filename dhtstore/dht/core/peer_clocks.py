"""What peers say of the time, beside what our own wall clock says."""

from __future__ import annotations

from dhtstore.params import PEER_CLOCKS_AGE_MAX_S, PEER_CLOCKS_MAX, PEER_CLOCKS_MIN


class PeerClocks:
    """The clocks of the peers that answered a ping last, one each.

    They can make this node say that its own clock is off, and nothing else: whoever is most of
    those asked can bring it to that.  Times are kept beside monotonic ones, so that what a peer
    said stays right when our own wall clock is set.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[bytes, tuple[float, float]] = {}  # id -> unix - monotonic, when told

    def heard(self, peer: bytes, unix_s: int, now: float) -> None:
        """A peer, by its id, said the time; ``now`` is monotonic seconds here and below."""
        self._told.pop(peer, None)
        self._told[peer] = (unix_s - now, now)
        if len(self._told) > PEER_CLOCKS_MAX:
            del self._told[next(iter(self._told))]

    def known(self, now: float) -> int:
        """How many peers told the time lately."""
        return len(self._lately(now))

    def ahead_s(self, unix_s: float, now: float) -> float | None:
        """How far our clock is ahead of most of theirs, behind if below 0; None while too few
        told.  Between two in the middle, what is better for ours."""
        ahead = sorted(unix_s - now - offset_s for offset_s in self._lately(now))
        if len(ahead) < PEER_CLOCKS_MIN:
            return None
        low, high = ahead[(len(ahead) - 1) // 2], ahead[len(ahead) // 2]
        return 0.0 if low < 0 < high else min(low, high, key=abs)

    def _lately(self, now: float) -> list[float]:
        told = self._told.values()
        return [offset_s for offset_s, told_s in told if now - told_s <= PEER_CLOCKS_AGE_MAX_S]
