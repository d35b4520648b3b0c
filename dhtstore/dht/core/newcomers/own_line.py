"""Whether it is our own line, or machine, that is silent, and not those who were asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Set

from dhtstore.dht.core.peer import Peer
from dhtstore.params import DEAF_S

Silent = tuple[Peer, bool]  # who, and whether only to a ping


class OwnLine:
    """Who was silent while nobody else was heard is not blamed before somebody is.

    Whoever asks finds out by asking one more, who was heard lately: an answer, of whomever, shows
    that those before were silent; none, that nobody is heard here, and that tells nothing of them,
    nor of those who were asked before somebody is.
    A table that outlives a line that was down for half a minute need not be found again.  After
    DEAF_S of that they are blamed, since all of them may have gone.  All times are monotonic
    seconds."""

    __slots__ = ("_again_s", "_deaf", "_heard_s", "_held", "_silent_s")

    def __init__(self) -> None:
        self._heard_s, self._silent_s = -math.inf, math.inf
        self._held: dict[bytes, Silent] = {}
        self._deaf, self._again_s = False, -math.inf

    @property
    def held(self) -> Set[bytes]:
        """The ids of those who are not blamed yet."""
        return self._held.keys()

    def heard(self, now: float) -> Iterable[Silent]:
        """Somebody answered; those to blame."""
        self._heard_s, self._silent_s = now, math.inf
        deaf, self._deaf = self._deaf, False
        if deaf:
            self._again_s = now
        if not self._held:
            return ()
        held, self._held = self._held, {}
        return () if deaf else held.values()

    def suspect(self, sent_s: float, now: float) -> bool:
        """Whether nobody was heard since it was sent, and for less than DEAF_S."""
        if self._heard_s > sent_s:
            return False
        self._silent_s = min(self._silent_s, now)
        return now - self._silent_s <= DEAF_S

    def hold(self, peer: Peer, *, ping: bool) -> None:
        """It was silent then, and is not to be blamed now."""
        self._held[peer.id] = peer, ping

    def was_deaf(self, sent_s: float) -> bool:
        """Whether somebody is heard again, and what was sent then was not sent since."""
        return sent_s < self._again_s

    def deaf(self, asked_s: float) -> int:
        """Nor was the other one heard, who was asked then: nobody is blamed; how many were not."""
        if self._heard_s > asked_s:
            return 0
        excused, self._deaf = len(self._held), True
        self._held.clear()
        return excused
