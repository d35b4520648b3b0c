"""Walk a tree for the paths at which some of its blocks lie, as far as it is at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Task
from dhtstore.content.dag.dag_walk import DagWalk, root_task
from dhtstore.content.dag.frontier import Level
from dhtstore.content.dag.walk import Output, Want
from dhtstore.model.cid import Cid

_WANTS_AT_ONCE = 256


class PathWalk(DagWalk):
    """Each block once, at the first path that leads to it; so it takes no longer than the blocks
    are many, whatever the tree says."""

    def __init__(self, root: Cid) -> None:
        self._seen: set[bytes] = set()
        super().__init__([root_task(root, None)])

    def path(self, want: Want) -> tuple[str, ...]:
        """The path of the file or directory that the block belongs to."""
        taken = self._pending[want.sequence]
        task = taken.task if isinstance(taken, Level) else taken
        return task.path if task is not None else ()

    def is_leaf(self, want: Want) -> bool:
        taken = self._pending[want.sequence]
        return isinstance(taken, Task) and taken.is_leaf

    def pass_by(self, want: Want) -> None:
        """Go on without what is in it or below it."""
        self._frontier.came(self._pending.pop(want.sequence))

    def _wanted(self, task: Task) -> bool:
        new = task.cid.multihash not in self._seen
        self._seen.add(task.cid.multihash)
        return new

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        return []


def paths_of(
    root: Cid, sought: Callable[[Cid], bool], read: Callable[[Cid], DagNode | None]
) -> Iterator[tuple[Cid, tuple[str, ...]]]:
    """Each sought block and the path of what it is part of; below what ``read`` has not, nothing
    is found.  Raises MalformedDag."""
    walk = PathWalk(root)
    while wants := walk.next(_WANTS_AT_ONCE):
        for want in wants:
            if sought(want.cid):
                yield want.cid, walk.path(want)
            node = None if walk.is_leaf(want) else read(want.cid)
            if node is None:
                walk.pass_by(want)
            else:
                walk.accept(want, node)
