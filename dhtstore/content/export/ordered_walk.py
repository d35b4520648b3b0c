"""A DAG as one stream: what the walk yields says where it belongs, and how far all is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Task
from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.frontier import Level, OpenPlaces
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Listed, Output, Placed, Want, placed_of
from dhtstore.model.cid import Cid


class OrderedWalk(DagWalk):
    """A walk each of whose outputs is ``placed``.  What a block settles is said with its last
    output: a batch of blocks may be opened before any output of it is taken."""

    def _begin(self) -> None:
        """The roots are known."""
        self._open = OpenPlaces(self._frontier, self._pending)
        self.opening = self._settled(self.opening)

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        return self._settled(super().accept(want, node))

    def _want(self, taken: Task | Level) -> Want:
        want = super()._want(taken)
        self._open.add(taken, want.sequence)
        return want

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        placed = Placed(task.order, ())
        return [_placed(output, placed) for output in super()._emit(task, node)]

    def _settled(self, outputs: Sequence[Output]) -> list[Output]:
        if not outputs:
            return []
        *others, last = outputs
        placed = Placed(placed_of(last).order, self._open.first())
        return [*others, _placed(last, placed)]


class OrderedTreeWalk(OrderedWalk, TreeWalk):
    """As TreeWalk, in order."""

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        super().__init__(root, place=place)
        self._begin()


def _placed(output: Output, placed: Placed) -> Output:
    return output if isinstance(output, Listed) else replace(output, placed=placed)
