"""Walk all blocks below a root, whatever unit they are in: what lies here of it."""

from __future__ import annotations

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Task
from dhtstore.content.dag.dag_walk import DagWalk, root_task
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.walk import Output
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import UNIT_SEEN_MAX, UNIT_WANTS_MAX


class HereWalk(DagWalk):
    """Emits nothing.  What lies below a block is not met again at the same depth, by walks that
    share ``seen`` neither, up to UNIT_SEEN_MAX of them; at another it may be too deep, or not.  A
    DAG in which more than UNIT_WANTS_MAX are opened raises MalformedDag for each further."""

    def __init__(self, root: Cid, seen: Seen | None = None) -> None:
        self._seen, self._opened = seen or Seen(UNIT_SEEN_MAX), 0
        super().__init__([root_task(root, None)])

    def _wanted(self, task: Task) -> bool:
        return task.is_leaf or self._seen.is_new(b"%b %d" % (task.cid.raw, len(task.order)))

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        self._opened += 1
        if self._opened > UNIT_WANTS_MAX:
            raise MalformedDag(f"{task.cid} lies in a DAG of too many blocks")
        return []
