"""A tree as one stream: what the walk yields says where it belongs, the walk how far it got."""

from __future__ import annotations

from dataclasses import replace

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Task
from dhtstore.content.dag.frontier import Level, OpenPlaces
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Listed, Order, Output, Want
from dhtstore.model.cid import Cid


class OrderedTreeWalk(TreeWalk):
    """``settled_before``: all output that belongs before this place has been yielded; None when
    all of it has.  It only moves on, so that whoever reads it while a worker has the walk may read
    one that is too early and none that is too late."""

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        super().__init__(root, place=place)
        self._open = OpenPlaces(self._frontier, self._pending)
        self.settled_before: Order | None = self._open.first()

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        outputs = super().accept(want, node)
        self.settled_before = self._open.first()
        return outputs

    def _want(self, taken: Task | Level) -> Want:
        want = super()._want(taken)
        self._open.add(taken, want.sequence)
        return want

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        order = task.order
        return [
            output if isinstance(output, Listed) else replace(output, order=order)
            for output in super()._emit(task, node)
        ]
