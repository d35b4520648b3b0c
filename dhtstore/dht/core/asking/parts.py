"""Which part of the tree each of those who are asked is asked about."""

from __future__ import annotations

from itertools import chain
from typing import Final

from dhtstore.params import ALPHA

ASKED_ENOUGH: Final = 2 * ALPHA  # about one part: some of them are dead


class TreeParts:
    """The parts of the tree around a target: ids whose distances from it have so many bits.

    Each is asked about its own, and once enough were, about a closer one of which nobody answered,
    though somebody did who is closer still: answers that are full of those closest, who may be
    dead, name none of it, and those who come after it would be found instead."""

    __slots__ = ("_answered", "_asked")

    def __init__(self) -> None:
        self._answered: set[int] = set()
        self._asked: dict[int, int] = {}

    def answered(self, distance: int) -> None:
        """Somebody at that distance did."""
        self._answered.add(distance.bit_length())

    def to_ask(self, own: int) -> int:
        """About which one of part ``own`` is asked now."""
        closest: int = min(self._answered, default=own)
        for part in chain((own,), range(own - 1, closest, -1)):
            asked = self._asked.get(part, 0)
            if asked < ASKED_ENOUGH and (part == own or part not in self._answered):
                self._asked[part] = asked + 1
                return part
        return own
