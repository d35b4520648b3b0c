"""Walk every block of one unit: what a holder does before it signs a receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Role, Slot, Task
from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Output
from dhtstore.errors import MalformedDag
from dhtstore.model.block import stored_bytes
from dhtstore.model.unit import Unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    UNIT_SEEN_MAX,
    UNIT_SIZE_MAX_BYTES,
    UNIT_SLACK_BYTES,
    UNIT_WANTS_MAX,
)

_UNKNOWN: Final = Slot(fanout=0, level=-1, bits=0)  # a root may be a shard from any level


class UnitWalk(DagWalk):
    """Emits nothing; counts.  ``blocks`` are the distinct blocks accepted so far, ``size_bytes`` is
    their content and ``stored_bytes`` what they take on disk.  ``accept`` raises MalformedDag for a
    unit larger than a holder takes.
    ``claimed_bytes`` is the content that the first root's block claims.

    A block that was wanted before is not wanted again, up to UNIT_SEEN_MAX blocks.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.blocks = self.size_bytes = self.stored_bytes = self._weight_bytes = 0
        self.claimed_bytes = 0
        self._seen: set[bytes] = set()
        place = Place(unit)
        super().__init__(
            Task(cid, Role.ROOT, 0, place, (i,), slot=_UNKNOWN) for i, cid in enumerate(unit.roots)
        )

    def _select(self, tasks: Iterable[Task]) -> Iterator[Task]:
        for task in tasks:
            if task.place.unit is self.unit and self._first_time(task):
                yield task

    def _hint_bytes(self, task: Task) -> int:
        """Of a root that is a leaf only all of them together is known: their mean, or else 5,000
        small files would be asked for as if each were as large as a block can be."""
        if task.role is Role.ROOT and task.is_leaf:
            mean_bytes = self.unit.size_bytes // len(self.unit.roots)
            return min(max(1, mean_bytes), BLOCK_SIZE_MAX_BYTES)
        return task.size_hint_bytes

    def _first_time(self, task: Task) -> bool:
        key = task.cid.raw
        if key in self._seen:
            return False
        if len(self._seen) < UNIT_SEEN_MAX:
            self._seen.add(key)
        return True

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.order == (0,):
            self.claimed_bytes = node.size_bytes
        if task.cid.inlined is None:
            self.blocks += 1
            self.stored_bytes += stored_bytes(task.cid, node.block_bytes)
        self._count(len(node.content) if node.is_file else 0, node.block_bytes)
        return []

    def _skipped(self, task: Task) -> None:
        """Counted as its parent claims it: for who knows the block to be there."""
        self.blocks += 1
        self.stored_bytes += stored_bytes(task.cid, task.claim_bytes)
        self._count(task.claim_bytes, task.claim_bytes)

    def _count(self, content_bytes: int, block_bytes: int) -> None:
        self.size_bytes += content_bytes
        self._weight_bytes += block_bytes if self.unit.spine else content_bytes
        if self._weight_bytes > UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES:
            raise MalformedDag("a unit that is larger than its links claim")
        if self.blocks > UNIT_WANTS_MAX:
            raise MalformedDag(f"a unit of more than {UNIT_WANTS_MAX} blocks")
