"""Who was asked for what a node is for, and answered nothing."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.params import (
    RPC_TIMEOUT_MAX_S,
    SILENT_AT_LEAST_S,
    SILENT_FOR_S,
    SILENT_REMEMBERED,
)

_ALONE_S: Final = (
    2 * RPC_TIMEOUT_MAX_S
)  # without an answer of anybody: it is our line that is silent


class _Silence:
    """``over``: it has answered a ping since, and may be asked."""

    __slots__ = ("over", "pardoned", "since_s")

    def __init__(self) -> None:
        self.over = self.pardoned = False
        self.since_s = 0.0

    def may_end(self, now: float) -> bool:
        """Whether a ping that it answers ends it."""
        return not self.pardoned and now - self.since_s >= SILENT_AT_LEAST_S


class Silences:
    """Those that were silent to more than pings are asked no more, whoever names them, for
    SILENT_FOR_S.

    A pong ends that once, and not at once, since a node may have been started again, and then no
    more: to answer pings is no sign that it does the rest.  ``now`` is monotonic seconds."""

    __slots__ = ("_answered_s", "_of")

    def __init__(self) -> None:
        self._of: OrderedDict[bytes, _Silence] = OrderedDict()
        self._answered_s = -math.inf

    def __len__(self) -> int:
        return len(self._of)

    def add(self, peer: Peer, now: float) -> None:
        """It did not answer, and others do."""
        if now - self._answered_s > _ALONE_S:
            return
        silence = self._lasting(peer, now) or _Silence()
        silence.over, silence.since_s = False, now
        self._of[peer.packed] = silence
        self._of.move_to_end(peer.packed)
        if len(self._of) > SILENT_REMEMBERED:
            self._of.popitem(last=False)

    def answered(self, peer: Peer, now: float, *, pong: bool) -> None:
        """It answered; only a ping, if ``pong``."""
        self._answered_s = now
        silence = self._of.get(peer.packed) if self._of else None
        if silence is None:
            return
        if not pong:
            del self._of[peer.packed]
        elif silence.may_end(now):
            silence.over = silence.pardoned = True

    def lasts(self, peer: Peer, now: float) -> bool:
        """Whether it need not be asked."""
        silence = self._lasting(peer, now) if self._of else None
        return silence is not None and not silence.over

    def bars(self, peer: Peer, now: float) -> bool:
        """Whether not even a pong changes that now."""
        silence = self._lasting(peer, now) if self._of else None
        return silence is not None and not silence.over and not silence.may_end(now)

    def forgive(self, peer: Peer) -> None:
        """Whoever runs this node named it."""
        self._of.pop(peer.packed, None)

    def _lasting(self, peer: Peer, now: float) -> _Silence | None:
        silence = self._of.get(peer.packed)
        return silence if silence is not None and now - silence.since_s < SILENT_FOR_S else None
