"""Walk one file, whole or a range of it."""

from __future__ import annotations

from dhtstore.content.codec.unixfs import DagNode, Kind
from dhtstore.content.dag.children import Role, Task
from dhtstore.content.dag.dag_walk import DagWalk, piece, root_task
from dhtstore.content.dag.frontier import Level
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import File, Leaf, Output, Piece, Want, not_a, symlink_alone
from dhtstore.errors import UsageError
from dhtstore.model.cid import Cid
from dhtstore.params import LINKED_AHEAD_BYTES


class FileWalk(DagWalk):
    """Emits ``File`` and its pieces.

    Of the blocks that only link to others no more are wanted ahead than the leaves below them take
    up a window: of a file of 100 GiB, a hundred of them would come before its first byte.

    ``place`` comes from ``resolve`` when ``root`` was found inside a larger DAG.  ``accept`` also
    raises UsageError when the root is not a file.
    """

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        self._linked_bytes = 0  # of content below blocks that are on their way
        super().__init__([root_task(root, place)])

    def next(self, limit: int) -> list[Want]:
        wants: list[Want] = []
        while len(wants) < limit:
            if self._linked_bytes >= LINKED_AHEAD_BYTES and not self._frontier.at_leaf:
                break
            one = super().next(1)
            if not one:
                break
            wants += one
            self._linked_bytes += _linked_bytes(self._pending[one[0].sequence])
        return wants

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        self._linked_bytes -= _linked_bytes(self._pending[want.sequence])
        return super().accept(want, node)

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        outputs: list[Output] = []
        if task.role is Role.ROOT:
            if node.kind is Kind.SYMLINK:
                raise symlink_alone(task.cid, node)
            if not node.is_file:
                raise not_a("file", task.cid, node.kind)
            outputs.append(File((), node.size_bytes, node.mode, node.mtime))
        return outputs + piece(task, node)


class RangeWalk(FileWalk):
    """Emits the bytes ``start`` up to ``end`` of a file as if they were all of one, and wants only
    the blocks that those need.

    They must be there: see ``within``.  ``accept`` also raises UsageError, before any output.
    """

    def __init__(
        self, root: Cid, start: int, end: int | None, *, place: Place | None = None
    ) -> None:
        self._asked, self._start, self._end = (start, end), 0, 0
        super().__init__(root, place=place)

    def leaf(self, want: Want) -> Leaf | None:
        """Where the bytes of a want belong in the output; None, too, if only some of them do."""
        leaf = super().leaf(want)
        if leaf is None or leaf.offset < self._start or leaf.offset + leaf.size_bytes > self._end:
            return None
        return Leaf(leaf.path, leaf.offset - self._start, leaf.size_bytes)

    def _wanted(self, task: Task) -> bool:
        if task.role is Role.ROOT:
            return True
        return task.offset < self._end and task.offset + task.claim_bytes > self._start

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.role is Role.ROOT and node.is_file:
            self._start, self._end = within(*self._asked, node.size_bytes)
            self.told_bytes = self._end - self._start
        moved = [self._moved(output) for output in super()._emit(task, node)]
        return [output for output in moved if output is not None]

    def _moved(self, output: Output) -> Output | None:
        """As it stands in the range; None for bytes that are not in it."""
        if isinstance(output, Piece):
            first = max(self._start - output.offset, 0)
            last = min(self._end - output.offset, len(output.data))
            data = memoryview(output.data)[first:last] if first < last else b""
            return Piece((), output.offset + first - self._start, data) if data else None
        if isinstance(output, File):
            return File((), self._end - self._start, output.mode, output.mtime)
        return output


def _linked_bytes(taken: Task | Level) -> int:
    task = taken.task if isinstance(taken, Level) else taken
    return 0 if task is None or task.is_leaf else task.claim_bytes


def within(start: int, end: int | None, size_bytes: int) -> tuple[int, int]:
    """The range of a file of that size: from ``start``, counted from the end of the file where
    it is negative, up to and without ``end``, the end of the file where that is None.

    Raises UsageError for one that is empty or reversed, or not all inside the file.
    """
    if start < 0 and end is not None:
        raise UsageError("a range that is counted from the end has no other end")
    first = size_bytes + start if start < 0 else start
    last = size_bytes if end is None else end
    if not 0 <= first < last <= size_bytes:
        raise UsageError(f"no such range: {_told(start, end)} of a file of {size_bytes:,} bytes")
    return first, last


def _told(start: int, end: int | None) -> str:
    if start < 0:
        return f"the last {-start:,} bytes"
    return f"bytes {start:,} to {'the end' if end is None else f'{end:,}'}"


def file_walk(root: Cid, start: int, end: int | None, *, place: Place | None = None) -> FileWalk:
    """The walk over a range of a file; over all of it from 0 to None."""
    if (start, end) == (0, None):
        return FileWalk(root, place=place)
    return RangeWalk(root, start, end, place=place)
