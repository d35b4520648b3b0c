"""What is to be announced, in the order of its keys, and how far that is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from dhtstore.model.identity import dht_key
from dhtstore.node.duties.announcing.progress import AHEAD_S, PARTS, CycleProgress, part_of


@dataclass(slots=True)
class KeyLine:
    """Names of units, by key.  There are two lines: nobody who has many units here keeps those of
    this node's owner waiting, nor the first of others.  ``counts`` tells how many names are in each
    part that has some."""

    progress: CycleProgress
    counts: dict[int, int] = field(default_factory=dict)
    _names: list[bytes] = field(default_factory=list)

    def set(self, names: list[bytes]) -> None:
        """These there are now; a few microseconds each, so in a worker."""
        names.sort(key=dht_key)
        ends = [bisect_left(names, part + 1, key=_part_of_name) for part in range(PARTS)]
        sizes = (end - begin for begin, end in zip([0, *ends], ends, strict=False))
        self._names = names
        self.counts = {part: size for part, size in enumerate(sizes) if size}

    def drop(self) -> None:
        """A hundred thousand names are not held between two looks."""
        self._names = []

    def of(self, part: int) -> Sequence[bytes]:
        """The names of a part, by key."""
        begin = bisect_left(self._names, part, key=_part_of_name)
        return self._names[begin : begin + self.counts[part]]

    def due(self, part: int, now: float) -> bool:
        return self.progress.due_s(part) <= now

    def nearly_due(self, part: int, now: float) -> bool:
        """Whether it may be announced together with one before it."""
        return self.progress.due_s(part) - AHEAD_S <= now

    def next_due_s(self) -> float | None:
        """When the next part is due; None if there is none."""
        return min(map(self.progress.due_s, self.counts), default=None)


def _part_of_name(name: bytes) -> int:
    return part_of(dht_key(name))
