"""Who went from the table together with several that were believed in.

That is what a network looks like to a node that hears next to nothing: some answers come, so that
it cannot be deaf, many of them only when it asked twice, and those who seem silent go, until nobody
is left.  As a single node goes, so does every node one day; but where several do within a minute,
and much is lost of what others answer, it may be our line, and they are asked again a few times.
"""

from __future__ import annotations

import math

from dhtstore.dht.core.peer import Peer
from dhtstore.params import (
    DEPARTED_ASK_EVERY_S,
    DEPARTED_ASK_FIRST_S,
    DEPARTED_AT_ONCE,
    DEPARTED_MANY,
    DEPARTED_MAX,
    DEPARTED_S,
)


class _Gone:
    __slots__ = ("believed", "due_s", "gone_s", "peer", "wait_s")

    def __init__(self, peer: Peer, now: float, *, believed: bool) -> None:
        self.peer, self.gone_s, self.believed = peer, now, believed
        self.wait_s, self.due_s = DEPARTED_ASK_FIRST_S, now + DEPARTED_ASK_FIRST_S


class Departed:
    """Remembers DEPARTED_MAX of them for DEPARTED_S.  ``now`` is monotonic seconds."""

    __slots__ = ("_gone", "_many_s")

    def __init__(self) -> None:
        self._gone: dict[bytes, _Gone] = {}  # in the order in which they went
        self._many_s = -math.inf

    def __len__(self) -> int:
        return len(self._gone)

    def add(self, peer: Peer, now: float, *, believed: bool) -> None:
        """It went; keys are free, so that newcomers push nobody out.  Who goes again meanwhile, as
        one does that answers pings and nothing else, is asked no more often for that."""
        self._forget(now)
        if peer.id in self._gone:
            return
        if len(self._gone) >= DEPARTED_MAX:
            if not believed:
                return
            del self._gone[next(iter(self._gone))]
        self._gone[peer.id] = _Gone(peer, now, believed=believed)

    def back(self, peer: Peer) -> bool:
        """It answered; whether it was believed in."""
        gone = self._gone.pop(peer.id, None)
        return gone is not None and gone.believed

    def many(self, now: float, left: int) -> bool:
        """Whether somebody may have to be asked: several of those believed in went, or more than
        are ``left`` in the table, or that was so just now; else nobody need look before the next
        one goes."""
        self._forget(now)
        return bool(self._gone) and (self._together(left) or self._lately(now))

    def _together(self, left: int) -> bool:
        believed = sum(one.believed for one in self._gone.values())
        return believed >= DEPARTED_MANY or len(self._gone) > left

    def _lately(self, now: float) -> bool:
        return now - self._many_s < DEPARTED_S  # and not only while few are left to ask

    def due(self, now: float, left: int, *, much_lost: bool) -> list[Peer]:
        """Whom to ask now, DEPARTED_AT_ONCE at most; nobody unless ``many`` went, nor where hardly
        anything is lost of what others answer, so that our line is good."""
        self._forget(now)
        if much_lost and self._together(left):
            self._many_s = now
        elif not self._lately(now):
            return []
        due = [one for one in self._gone.values() if one.due_s <= now][:DEPARTED_AT_ONCE]
        for one in due:
            one.wait_s = min(2 * one.wait_s, DEPARTED_ASK_EVERY_S)
            one.due_s = now + one.wait_s
        return [one.peer for one in due]

    def _forget(self, now: float) -> None:
        while self._gone:
            first = next(iter(self._gone.values()))
            if now - first.gone_s < DEPARTED_S:
                return
            del self._gone[first.peer.id]
