"""The walk all walks are: a frontier kept in DAG order, opened block by block.

data path: next -> wants -> (fetched and verified elsewhere) -> accept -> read, check, emit ->
children join the frontier.  Blocks may arrive in any order; the leftmost known ones are always
wanted first, so what is known and not yet wanted stays near depth times fan-out.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.children import Role, Task, check_claims, children
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Leaf, Output, Piece, Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import TREE_UNCLAIMED_MAX, WALK_LINKS_HELD_MAX

_AFTER_CHILDREN = (1 << 62,)  # sorts what is left of a node after all that is below its children


class DagWalk:
    """Implements ``walk.Walk``; what a walk keeps and emits is in ``_select`` and ``_emit``.

    ``opening`` is output known before any block: that of a root whose CID is its content.
    """

    def __init__(self, roots: Iterable[Task]) -> None:
        self.opening: list[Output] = []
        self._frontier: list[tuple[tuple[int, ...], list[Task]]] = []
        self._pending: dict[int, Task] = {}
        self._held = self._sequence = self._unclaimed = 0
        self._extend((), roots, self.opening)

    def next(self, limit: int) -> list[Want]:
        """At most ``limit`` further wants, in DAG order as far as it is known."""
        wants: list[Want] = []
        while self._frontier and len(wants) < limit:
            tasks = self._frontier[0][1]
            if self._must_wait(tasks[-1]):
                break
            wants.append(self._want(tasks.pop()))
            if not tasks:
                heappop(self._frontier)
        return wants

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        """Take the verified block of ``want``.  Raises MalformedDag."""
        outputs: list[Output] = []
        self._open(self._pending.pop(want.sequence), node, outputs)
        return outputs

    def weight(self, node: DagNode) -> int:
        """What ``accept`` would cost, in links."""
        return node.weight + 1

    def leaf(self, want: Want) -> Leaf | None:
        """Where the bytes of a want belong; None unless it is a raw block inside a file.

        A file of one raw block is told by the Tsize its directory claims, which may lie.
        """
        task = self._pending[want.sequence]
        if not task.is_leaf or task.role not in (Role.PART, Role.ENTRY):
            return None
        return Leaf(task.path, task.offset, task.claim_bytes)

    def skip(self, want: Want) -> None:
        """Take a leaf as accepted without its bytes, and without output."""
        self._skipped(self._pending.pop(want.sequence))

    @property
    def done(self) -> bool:
        return not self._pending and not self._frontier

    # --- what a walk decides ----------------------------------------------------------------

    def _select(self, tasks: Iterable[Task]) -> Iterable[Task]:
        """Which of the children are part of this walk."""
        return tasks

    def _hint_bytes(self, task: Task) -> int:
        """How large a block may be."""
        return task.size_hint_bytes

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        """The output a block yields."""
        raise MalformedDag(f"{task.cid} is not part of this walk")

    def _skipped(self, task: Task) -> None:
        """A leaf whose bytes the caller has, of the length its parent claims."""

    # --- the frontier -----------------------------------------------------------------------

    def _must_wait(self, task: Task) -> bool:
        """Look ahead no further while much is known; the blocks under way are to the left."""
        return self._held > WALK_LINKS_HELD_MAX and bool(self._pending) and not task.is_leaf

    def _want(self, task: Task) -> Want:
        want = Want(task.cid, task.place.unit, self._hint_bytes(task), self._sequence)
        self._pending[self._sequence] = task
        self._sequence += 1
        self._held -= 1
        return want

    def _open(self, task: Task, node: DagNode, outputs: list[Output]) -> None:
        check_claims(task, node)
        self._count_unclaimed(task, node)
        outputs += self._emit(task, node)
        if node.links:
            self._extend(task.order, children(task, node), outputs)

    def _extend(self, order: tuple[int, ...], tasks: Iterable[Task], outputs: list[Output]) -> None:
        """Add children; those whose CID is their content are opened on the spot."""
        waiting: list[Task] = []
        for task in self._select(tasks):
            inlined = task.cid.inlined
            if inlined is None:
                waiting.append(task)
            else:
                self._open(task, read_node(task.cid, inlined), outputs)
        if waiting:
            waiting.reverse()
            self._held += len(waiting)
            heappush(self._frontier, (order + _AFTER_CHILDREN, waiting))

    def _count_unclaimed(self, task: Task, node: DagNode) -> None:
        if task.claim_bytes or task.role in (Role.ROOT, Role.PART) or not node.links:
            return
        self._unclaimed += 1
        if self._unclaimed > TREE_UNCLAIMED_MAX:
            raise MalformedDag("a tree of too many directories whose links claim no size")


def root_task(root: Cid, place: Place | None) -> Task:
    return Task(root, Role.ROOT, 0, place or Place.of_root(root))


def piece(task: Task, node: DagNode) -> list[Output]:
    """The bytes a block of a file itself holds."""
    return [Piece(task.path, task.offset, node.content)] if len(node.content) else []
