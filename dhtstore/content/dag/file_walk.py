"""Walk one file, whole or a range of it."""

from __future__ import annotations

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Role, Task
from dhtstore.content.dag.dag_walk import DagWalk, root_task
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import File, Output, Piece, not_a
from dhtstore.model.cid import Cid
from dhtstore.params import CONTENT_SIZE_MAX_BYTES


class FileWalk(DagWalk):
    """Emits ``File`` with the whole length, then the pieces of bytes ``start`` up to ``end``
    (default: to the end of the file), and wants only the blocks those need.

    ``place`` comes from ``resolve`` when ``root`` was found inside a larger DAG.  ``accept`` also
    raises UsageError when the root is not a file.
    """

    def __init__(
        self, root: Cid, *, start: int = 0, end: int | None = None, place: Place | None = None
    ) -> None:
        self._start = start
        self._end = CONTENT_SIZE_MAX_BYTES if end is None else end
        super().__init__([root_task(root, place)])

    def _wanted(self, task: Task) -> bool:
        if task.role is Role.ROOT:
            return True
        return task.offset < self._end and task.offset + task.claim_bytes > self._start

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        outputs: list[Output] = []
        if task.role is Role.ROOT:
            if not node.is_file:
                raise not_a("file", task.cid, node.kind)
            outputs.append(File((), node.size_bytes, node.mode, node.mtime))
        first = max(self._start - task.offset, 0)
        last = min(self._end - task.offset, len(node.content))
        if first < last:
            data = node.content
            if last - first < len(data):
                data = memoryview(data)[first:last]
            outputs.append(Piece((), task.offset + first, data))
        return outputs
