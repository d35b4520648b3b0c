"""What was done to nodes, so that no checker holds them to it: data that is gone, lies, clocks that
were set, ways that are blocked, announcements that were dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial

from dhtstore.params import RECORD_FUTURE_SKEW_MAX_S


class DamageRecord:
    """Of each node: since when its data is gone, which of its blocks rotted, whether it lies by
    design, until when its clock was wrong (inf while it is), and of two until when nothing got
    from one to the other."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}
        self._rotten: dict[int, dict[bytes, float]] = {}
        self._liars: dict[int, None] = {}
        self._wrong_until_s: dict[int, float] = {}
        self._blocked_until_s: dict[tuple[int, int], float] = {}
        self._dropped_s: list[list[float]] = []  # from when until when; until inf while it lasts

    def data_lost(self, node: int, now_s: float) -> None:
        """Promises that the node made before do not hold it any more."""
        self._since_s[node] = now_s

    def rotted(self, node: int, multihash: bytes, now_s: float) -> None:
        """Promises that it made before and that need this block do not hold it any more."""
        self._rotten.setdefault(node, {})[multihash] = now_s

    def lies(self, node: int) -> None:
        """It serves wrong bytes from now on."""
        self._liars[node] = None

    def clock_set(self, node: int, offset_s: float, now_s: float) -> None:
        """Its records are out of time for others while it is off by more than these allow."""
        if abs(offset_s) > RECORD_FUTURE_SKEW_MAX_S:
            self._wrong_until_s[node] = math.inf
        elif node in self._wrong_until_s:
            self._wrong_until_s[node] = min(now_s, self._wrong_until_s[node])

    def blocked(self, source: int, target: int) -> None:
        """Something does not get from one to the other."""
        self._blocked_until_s[source, target] = math.inf

    def unblocked(self, source: int, target: int, now_s: float) -> None:
        if (source, target) in self._blocked_until_s:
            self._blocked_until_s[source, target] = now_s

    def dropping(self, now_s: float) -> Callable[[float], None]:
        """From now on nobody hears what is announced; what is returned is told when that ends."""
        times_s = [now_s, math.inf]
        self._dropped_s.append(times_s)
        return partial(times_s.__setitem__, 1)

    def dropped_until_s(self, from_s: float, to_s: float) -> float:
        """When it ended that what was announced in that time was dropped; -inf if nothing was."""
        ends_s = [end_s for begin_s, end_s in self._dropped_s if begin_s <= to_s]
        return max((end_s for end_s in ends_s if end_s >= from_s), default=-math.inf)

    def kept_apart(self, one: int, other: int, since_s: float) -> bool:
        """Whether, at that time or later, a blocked way or a wrong clock kept what one says from
        the other."""
        wrong, blocked = self._wrong_until_s, self._blocked_until_s
        ends_s = (
            wrong.get(one, -1.0),
            wrong.get(other, -1.0),
            blocked.get((one, other), -1.0),
            blocked.get((other, one), -1.0),
        )
        return max(ends_s) >= since_s

    def honest(self, node: int) -> bool:
        return node not in self._liars

    def since(self, node: int, stored_s: float) -> bool:
        """Whether the node lost all its data at that virtual time or later."""
        return self._since_s.get(node, -1.0) >= stored_s

    def rotten(self, node: int) -> Mapping[bytes, float]:
        """Blocks of it that rotted, mended ones too, by multihash: when that was."""
        return self._rotten.get(node, {})

    def took_of(self, node: int, blocks: Collection[bytes], stored_s: float) -> bool:
        """Whether one of these blocks rotted there at that time or later."""
        return any(at_s >= stored_s and one in blocks for one, at_s in self.rotten(node).items())
