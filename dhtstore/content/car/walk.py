"""DAGs block by block, depth first, each block once: what a CAR holds."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Role, Task
from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Order, Output, Want, WholeBlock
from dhtstore.content.export.ordered_walk import OrderedWalk
from dhtstore.model.cid import Cid
from dhtstore.params import CAR_AHEAD_MAX, CAR_SEEN_MAX


class _BlockWalk(DagWalk):
    """All blocks as they are, but for those that an identity CID holds.

    Blocks arrive in any order, so that one may be met behind the place where it belongs: it is
    wanted again where it is met before that.  Who writes them leaves away what was written.
    """

    def __init__(self, roots: Sequence[Cid]) -> None:
        self._written = Seen(CAR_SEEN_MAX)  # all that stand before the first that is not here
        self._claimed: dict[bytes, Order] = {}  # others, by the first place that is known
        self._came: list[tuple[Order, bytes]] = []  # a heap, of what is not written
        self._count = 0
        super().__init__(
            Task(root, Role.ROOT, 0, Place.of_root(root), index=i) for i, root in enumerate(roots)
        )

    def _wanted(self, task: Task) -> bool:
        raw, order = task.cid.raw, task.order
        if task.cid.inlined is not None:
            return True
        known = self._claimed.get(raw)
        if raw in self._written or (known is not None and known <= order):
            return False
        if known is not None or len(self._claimed) < CAR_AHEAD_MAX:
            self._claimed[raw] = order
        return True

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.cid.inlined is not None:
            return []
        self._count += 1
        heappush(self._came, (task.order, task.cid.raw))
        return [WholeBlock((), self._count, node.content, cid=task.cid)]


class CarWalk(OrderedWalk, _BlockWalk):
    """Yields every block, placed; needs blocks that were ``read_whole``."""

    def __init__(self, roots: Sequence[Cid]) -> None:
        super().__init__(roots)
        self._begin()

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        outputs = super().accept(want, node)
        first = self._open.first()
        while self._came and (first is None or self._came[0][0] < first):
            raw = heappop(self._came)[1]
            self._claimed.pop(raw, None)
            self._written.is_new(raw)
        return outputs
