"""What a walk knows and does not want yet, in DAG order and within WALK_HELD_MAX_BYTES.

Strangers choose how many links a block has and how deep blocks lie, and going down one path means
to come back to all that stands beside it.  What does not fit is put down, the rightmost first:
of an opened node only which of its children are left is known then, and its block is wanted once
more when their turn comes.  By then all that was in the way is done with, so that blocks
are read twice at most by and large, and in trees of usual directories once.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Task, children, spread
from dhtstore.params import (
    WALK_AHEAD_BYTES,
    WALK_BLOCK_FACTOR,
    WALK_HELD_MAX_BYTES,
    WALK_LEVEL_BYTES,
    WALK_LINK_BYTES,
)

_AFTER_CHILDREN = (1 << 62,)  # sorts what is left of a node after all that is below its children


@dataclass(slots=True, eq=False)
class Level:
    """The children of ``task`` (of nothing: the roots) that are not wanted yet, the next one last.

    ``places`` tells where among all that ``spread`` finds below the node each stands; ``left`` the
    same, a bit for each, when the level is put down.
    """

    task: Task | None
    key: tuple[int, ...]
    tasks: list[Task] = field(default_factory=list)
    places: array[int] = field(default_factory=lambda: array("I"))
    each_bytes: int = 0
    left: bytes = b""

    @classmethod
    def below(cls, task: Task | None) -> Level:
        return cls(task, (task.order if task else ()) + _AFTER_CHILDREN)

    def add(self, task: Task, place: int) -> None:
        self.tasks.append(task)
        self.places.append(place)

    def complete(self, block_bytes: int) -> None:
        """All were added that there are, in their order."""
        self.tasks.reverse()
        self.places.reverse()
        if self.task is not None:
            fixed_bytes = block_bytes * WALK_BLOCK_FACTOR + WALK_LEVEL_BYTES
            self.each_bytes = WALK_LINK_BYTES + fixed_bytes // len(self.tasks)

    @property
    def held_bytes(self) -> int:
        return self.each_bytes * len(self.tasks)

    @property
    def ahead_bytes(self) -> int:
        """What it takes when its block is read again."""
        return self.each_bytes * int.from_bytes(self.left, "big").bit_count()

    def put_down(self) -> None:
        left = bytearray((self.places[0] >> 3) + 1)
        for place in self.places:
            left[place >> 3] |= 1 << (place & 7)
        self.left, self.tasks, self.places = bytes(left), [], array("I")

    def take_up(self, task: Task, node: DagNode) -> None:
        """``node`` is what was read of ``task`` once more.  Raises MalformedDag."""
        below, up_to = spread(children(task, node)), 8 * len(self.left)
        for place, (child, _) in zip(range(up_to), below, strict=False):
            if self.left[place >> 3] >> (place & 7) & 1:
                self.add(child, place)
        self.left = b""
        self.tasks.reverse()
        self.places.reverse()


class Frontier:
    """``held_bytes`` is about what is known takes."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._ahead_bytes = 0  # what is on its way may add
        self._levels: list[Level] = []

    def __bool__(self) -> bool:
        return bool(self._levels)

    @property
    def first(self) -> tuple[int, ...] | None:
        """The place in the DAG of the first block that is not wanted yet; None if there is none."""
        if not self._levels:
            return None
        level = self._levels[0]
        return place_of(level.tasks[-1] if level.tasks else level)

    def tasks(self) -> Iterator[Task]:
        """What is known of blocks that are not wanted yet, in DAG order."""
        return (task for level in self._levels for task in reversed(level.tasks))

    @property
    def at_leaf(self) -> bool:
        """Whether the first block that is not wanted yet has nothing below it."""
        return bool(self._levels and self._levels[0].tasks and self._levels[0].tasks[-1].is_leaf)

    def add(self, level: Level) -> None:
        insort(self._levels, level, key=_key)
        self.held_bytes += level.held_bytes
        self._put_down_what_does_not_fit()

    def take(self, *, alone: bool) -> Task | Level | None:
        """The next block to want: of a task, or once more of a level that was put down.  None if
        its links may not fit, unless it is ``alone``: nothing is on its way that makes room."""
        if not self._levels:
            return None
        level = self._levels[0]
        taken = level.tasks[-1] if level.tasks else level
        ahead_bytes = _ahead_bytes(taken)
        if not (alone or self._fits(ahead_bytes)):
            return None
        if level.tasks:
            level.tasks.pop()
            level.places.pop()
            self.held_bytes -= level.each_bytes
        if not level.tasks:
            del self._levels[0]
        self._ahead_bytes += ahead_bytes
        return taken

    def came(self, taken: Task | Level) -> None:
        """The block of what was taken is here."""
        self._ahead_bytes -= _ahead_bytes(taken)

    def _fits(self, ahead_bytes: int) -> bool:
        """Leaves always do: nothing lies below them."""
        all_bytes = self.held_bytes + self._ahead_bytes + ahead_bytes
        return not ahead_bytes or all_bytes <= WALK_HELD_MAX_BYTES

    def _put_down_what_does_not_fit(self) -> None:
        """Never the first: it is what goes on."""
        for at in range(len(self._levels) - 1, 0, -1):
            if self.held_bytes <= WALK_HELD_MAX_BYTES:
                return
            level = self._levels[at]
            if level.tasks and level.task is not None:
                self.held_bytes -= level.held_bytes
                level.put_down()


class OpenPlaces:
    """The wants of a walk by where they stand in DAG order.  ``pending`` has those that are not
    answered."""

    def __init__(self, frontier: Frontier, pending: Container[int]) -> None:
        self._frontier, self._pending = frontier, pending
        self._lowest: list[tuple[tuple[int, ...], int]] = []  # a heap, some answered

    def add(self, taken: Task | Level, sequence: int) -> None:
        heappush(self._lowest, (place_of(taken), sequence))

    def first(self) -> tuple[int, ...] | None:
        """The place of the first block that is not here; None if all are."""
        while self._lowest and self._lowest[0][1] not in self._pending:
            heappop(self._lowest)
        ahead = self._frontier.first
        if not self._lowest:
            return ahead
        return self._lowest[0][0] if ahead is None else min(self._lowest[0][0], ahead)


def place_of(taken: Task | Level) -> tuple[int, ...]:
    """Where in DAG order it stands; a level that was put down, before all that is left of it."""
    task = taken.task if isinstance(taken, Level) else taken
    return task.order if task else ()


def _key(level: Level) -> tuple[int, ...]:
    return level.key


def _ahead_bytes(taken: Task | Level) -> int:
    if isinstance(taken, Level):
        return taken.ahead_bytes
    return 0 if taken.is_leaf else WALK_AHEAD_BYTES
