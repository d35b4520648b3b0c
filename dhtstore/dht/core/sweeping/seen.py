"""What lookups saw of the key space, and for which keys that is enough.

A lookup knows all nodes that are within some distance of its target, in XOR a ball.  The K closest
of another key are known, too, where the ball around that key which reaches to its K-th lies
within what was seen: so few lookups serve all keys of a region (as the sweeping provider of Kubo
does, which looks a prefix up until it is known whole).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kademlia.node import Node

from dhtstore.params import NODE_ID_BYTES, K

_END: Final = 1 << 8 * NODE_ID_BYTES
_BITS_KEPT: Final = 8  # of a distance: the rest is less than a hundredth of it
Stretch = tuple[int, int]  # ids from the first on, without the second


@dataclass(frozen=True, slots=True)
class SeenNodes:
    """``nodes`` are all that there are in the stretches that are ``known``, and maybe some beyond;
    ``seen_s`` (monotonic seconds) is when the first of its ``lookups`` began."""

    seen_s: float
    nodes: tuple[Node, ...] = ()
    known: tuple[Stretch, ...] = ()
    lookups: int = 0

    def with_ball(self, target: int, reach: int, nodes: Iterable[Node]) -> SeenNodes:
        """A lookup saw ``nodes``, and there are no others within ``reach`` of ``target``."""
        known_nodes = {node.id: node for node in (*self.nodes, *nodes)}
        known = merged([*self.known, *ball(target, _rounded_down(reach + 1))])
        return replace(self, nodes=tuple(known_nodes.values()), known=known)

    def looked_up(self) -> SeenNodes:
        return replace(self, lookups=self.lookups + 1)

    def everywhere(self) -> SeenNodes:
        """There are no other nodes at all."""
        return replace(self, known=((0, _END),))

    def closest(self, key: bytes, besides: Collection[bytes] = ()) -> list[Node]:
        """The K closest to ``key``, closest first, without those whose ids are ``besides``."""
        number = int.from_bytes(key, "big")
        nodes = [node for node in self.nodes if node.id not in besides] if besides else self.nodes
        return sorted(nodes, key=lambda node: node.long_id ^ number)[:K]

    def covers(self, key: bytes) -> bool:
        """Whether no node that is among the K closest to ``key`` is unknown here."""
        number, reach = int.from_bytes(key, "big"), self._reach(key)
        return all(self._gap_in(each) is None for each in ball(number, _rounded_up(reach + 1)))

    def gap(self, key: bytes) -> int | None:
        """The first id that is unknown here of the smallest prefix around ``key`` that holds K
        nodes: once there is none, all keys of that prefix are covered."""
        tail = self._reach(key).bit_length()
        first = int.from_bytes(key, "big") >> tail << tail
        return self._gap_in((first, first + (1 << tail)))

    def _reach(self, key: bytes) -> int:
        """How far the K-th closest is from ``key``."""
        closest = self.closest(key)
        if len(closest) < K:
            return _END - 1
        return int(closest[-1].long_id ^ int.from_bytes(key, "big"))

    def _gap_in(self, wanted: Stretch) -> int | None:
        at = bisect_right(self.known, (wanted[0], _END)) - 1
        if at < 0 or self.known[at][1] <= wanted[0]:
            return wanted[0]
        return self.known[at][1] if self.known[at][1] < wanted[1] else None

    def covered(self, keys: Sequence[bytes]) -> int:
        """How many of ``keys`` in their order are covered, up to the first that is not.  The first
        one counts: it is what was looked up, and nobody knows better."""
        for count, key in enumerate(keys):
            if count and not self.covers(key):
                return count
        return len(keys)

    def without(self, gone: Collection[bytes]) -> SeenNodes:
        """The same, of which the nodes of these ids do not answer any more."""
        return replace(self, nodes=tuple(node for node in self.nodes if node.id not in gone))


def ball(target: int, size: int) -> Iterator[Stretch]:
    """The ids at distances below ``size`` from ``target``: one stretch for each bit of ``size``,
    whose ids differ from the target as the higher bits say, and below it at will."""
    for bit in range(size.bit_length() - 1, -1, -1):
        if size >> bit & 1:
            first = (target ^ (size >> bit + 1 << bit + 1)) >> bit << bit
            yield first, first + (1 << bit)


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same ids in as few stretches as possible, in order."""
    result: list[Stretch] = []
    for first, end in sorted(stretches):
        if result and first <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((first, end))
    return tuple(result)


def _rounded_down(size: int) -> int:
    tail = max(0, size.bit_length() - _BITS_KEPT)
    return size >> tail << tail


def _rounded_up(size: int) -> int:
    tail = max(0, size.bit_length() - _BITS_KEPT)
    return -(-size >> tail) << tail
