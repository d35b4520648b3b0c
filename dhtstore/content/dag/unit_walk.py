"""Walk every block of one unit: what a holder does before it signs a receipt."""

from __future__ import annotations

from typing import Final

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Role, Slot, Task
from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.seen import Seen
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
    UNIT_STORED_MAX_BYTES,
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

    def __init__(
        self,
        unit: Unit,
        stored_max_bytes: int = UNIT_STORED_MAX_BYTES,
        blocks_max: int = UNIT_WANTS_MAX,
    ) -> None:
        """Beyond the bounds it is larger than was said."""
        self.unit = unit
        self._stored_max_bytes, self._blocks_max = stored_max_bytes, blocks_max
        self.blocks = self.size_bytes = self.stored_bytes = self._weight_bytes = 0
        self.claimed_bytes = 0
        self._seen = Seen(UNIT_SEEN_MAX)
        place = Place(unit)
        super().__init__(
            Task(cid, Role.ROOT, 0, place, index=i, slot=_UNKNOWN)
            for i, cid in enumerate(unit.roots)
        )

    def _wanted(self, task: Task) -> bool:
        return task.place.unit is self.unit and self._seen.is_new(task.cid.raw)

    def _hint_bytes(self, task: Task) -> int:
        """Of a root that is a leaf only all of them together is known: their mean, or else 5,000
        small files would be asked for as if each were as large as a block can be."""
        if task.role is Role.ROOT and task.is_leaf:
            mean_bytes = self.unit.size_bytes // len(self.unit.roots)
            return min(max(1, mean_bytes), BLOCK_SIZE_MAX_BYTES)
        return task.size_hint_bytes

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.role is Role.ROOT:
            self._take_root(task, node)
        if task.cid.inlined is None:
            self.blocks += 1
            self.stored_bytes += stored_bytes(task.cid, node.block_bytes)
        self._count(len(node.content) if node.is_file else 0, node.block_bytes)
        return []

    def _take_root(self, task: Task, node: DagNode) -> None:
        """What says of itself that it is more than a unit is cut further, wherever it stands: else
        one name could be that of a subtree and that of the head of a spine."""
        if node.size_bytes > UNIT_SIZE_MAX_BYTES and not self.unit.spine:
            raise MalformedDag(f"{task.cid} claims more than the unit that it is in")
        if task.order == (0,):
            self.claimed_bytes = node.size_bytes

    def _skipped(self, task: Task, size_bytes: int) -> None:
        """Counted as its parent claims it: for who knows the block to be there."""
        if task.order == (0,):
            self.claimed_bytes = size_bytes
        self.blocks += 1
        self.stored_bytes += stored_bytes(task.cid, size_bytes)
        self._count(size_bytes, size_bytes)

    def _count(self, content_bytes: int, block_bytes: int) -> None:
        self.size_bytes += content_bytes
        self._weight_bytes += block_bytes if self.unit.spine else content_bytes
        if self._weight_bytes > UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES:
            raise MalformedDag("a unit that is larger than its links claim")
        if self.blocks > self._blocks_max:
            raise MalformedDag(f"a unit of more than {self._blocks_max} blocks")
        if self.stored_bytes > self._stored_max_bytes:
            raise MalformedDag(f"a unit that takes more than {self._stored_max_bytes} bytes")
