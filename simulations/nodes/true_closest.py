"""Which of the nodes that are up are really the closest to a key: what lookups are held against."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Iterable

from dhtstore.model.identity import NodeId
from dhtstore.params import NODE_ID_BYTES

_BITS = 8 * NODE_ID_BYTES


class TrueClosest:
    """Knows every member's id, and asks ``present`` which of them count."""

    def __init__(self, ids: Iterable[tuple[NodeId, int]], present: Callable[[int], bool]) -> None:
        known = sorted((int.from_bytes(raw, "big"), number) for raw, number in ids)
        self._ids = [number for number, _ in known]
        self._members = [member for _, member in known]
        self._present = present

    def closest(self, target: bytes, besides: int) -> NodeId | None:
        """The closest member that is present, other than ``besides``."""
        return next(iter(self.nearest(target, besides, 1)), None)

    def nearest(self, target: bytes, besides: int, count: int) -> list[NodeId]:
        """The ``count`` closest of these, closest first; all if there are fewer."""
        key, found = int.from_bytes(target, "big"), list[int]()
        for low, high in reversed(self._ranges(key)):  # a longer shared prefix is always closer
            found = [
                self._ids[at]
                for at in range(low, high)
                if self._members[at] != besides and self._present(self._members[at])
            ]
            if len(found) >= count:
                break
        nearest = heapq.nsmallest(count, found, key=lambda number: number ^ key)
        return [NodeId(number.to_bytes(NODE_ID_BYTES, "big")) for number in nearest]

    def _ranges(self, key: int) -> list[tuple[int, int]]:
        """The members that share 0, 1, 2... bits with the key, until one or none is left."""
        found = [(0, len(self._ids))]
        for tail in range(_BITS - 1, -1, -1):
            low, high = found[-1]
            if high - low <= 1:
                break
            first = key >> tail << tail
            begin = bisect.bisect_left(self._ids, first, low, high)
            found.append((begin, bisect.bisect_left(self._ids, first + (1 << tail), begin, high)))
        return found
