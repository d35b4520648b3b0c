"""The walk all walks are: a frontier kept in DAG order, opened block by block.

data path: next -> wants -> (fetched and verified elsewhere) -> accept -> read, check, emit ->
children join the frontier.  Blocks may arrive in any order; the leftmost known ones are always
wanted first, so what is known and not yet wanted stays small (``frontier``).
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag.children import Role, Task, check_claims, children, spread
from dhtstore.content.dag.frontier import Frontier, Level
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Leaf, Output, Piece, Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.params import TREE_UNCLAIMED_MAX


class DagWalk:
    """Implements ``walk.Walk``; what a walk keeps and emits is in ``_wanted`` and ``_emit``.

    ``opening`` is output known before any block: that of a root whose CID is its content.
    ``told_bytes`` is what all of the blocks take, as the first root says; 0 before it came.
    """

    def __init__(self, roots: Iterable[Task]) -> None:
        self.opening: list[Output] = []
        self._frontier = Frontier()
        self._pending: dict[int, Task | Level] = {}
        self._sequence = self._unclaimed = self.told_bytes = 0
        self._extend(None, roots, 0, self.opening)

    def next(self, limit: int) -> list[Want]:
        """At most ``limit`` further wants, in DAG order as far as it is known."""
        wants: list[Want] = []
        while len(wants) < limit:
            taken = self._frontier.take(alone=not self._pending)
            if taken is None:
                break
            wants.append(self._want(taken))
        return wants

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        """Take the verified block of ``want``.  Raises MalformedDag."""
        outputs: list[Output] = []
        taken = self._pending.pop(want.sequence)
        self._frontier.came(taken)
        if isinstance(taken, Task):
            self._read(taken, node, outputs)
            if node.links and self._opens(taken):
                self._extend(taken, children(taken, node), node.block_bytes, outputs)
        elif taken.task is not None:  # all of it was checked before
            taken.take_up(taken.task, node)
            self._frontier.add(taken)
        return outputs

    def weight(self, node: DagNode) -> int:
        """What ``accept`` would cost, in links."""
        return node.weight + 1

    def leaf(self, want: Want) -> Leaf | None:
        """Where the bytes of a want belong; None unless it is a raw block inside a file.

        A file of one raw block is told by the Tsize its directory claims, which may lie.
        """
        task = self._pending[want.sequence]
        if isinstance(task, Level) or not task.is_leaf or task.role not in (Role.PART, Role.ENTRY):
            return None
        return Leaf(task.path, task.offset, task.claim_bytes)

    def unit_ahead(self, known: Container[bytes]) -> Unit | None:
        """The first unit of those that blocks are known of and that are not ``known`` by name."""
        units = (task.place.unit for task in self._frontier.tasks())
        return next((unit for unit in units if unit.name not in known), None)

    def raw_root(self, want: Want) -> bool:
        """Whether it is a leaf that nothing is claimed of."""
        task = self._pending[want.sequence]
        return isinstance(task, Task) and task.is_leaf and task.role is Role.ROOT

    def skip(self, want: Want, size_bytes: int) -> None:
        """Take a leaf of that length as accepted without its bytes, and without output."""
        task = self._pending.pop(want.sequence)
        if isinstance(task, Task):
            if task.role is Role.ROOT and not self.told_bytes:
                self.told_bytes = size_bytes
            self._skipped(task, size_bytes)

    def pass_over(self, want: Want) -> None:
        """Go on without a block: what lies below it is not met."""
        self._frontier.came(self._pending.pop(want.sequence))

    @property
    def done(self) -> bool:
        return not self._pending and not self._frontier

    # --- what a walk decides ----------------------------------------------------------------

    def _wanted(self, task: Task) -> bool:
        """Whether it is part of this walk; asked once."""
        return True

    def _told(self, task: Task) -> bool:
        """Whether its link says all there is to say; asked once, if its block is not here."""
        return False

    def _opens(self, task: Task) -> bool:
        """Whether what lies below it is part of this walk."""
        return True

    def _hint_bytes(self, task: Task) -> int:
        """How large a block may be."""
        return task.size_hint_bytes

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        """The output a block yields."""
        raise MalformedDag(f"{task.cid} is not part of this walk")

    def _skipped(self, task: Task, size_bytes: int) -> None:
        """A leaf whose bytes the caller has, of the length its parent claims, if it has one."""

    # --- the frontier -----------------------------------------------------------------------

    def _want(self, taken: Task | Level) -> Want:
        task = taken.task if isinstance(taken, Level) else taken
        assert task is not None, "roots are never put down"
        want = Want(task.cid, task.place.unit, self._hint_bytes(task), self._sequence)
        self._pending[self._sequence] = taken
        self._sequence += 1
        return want

    def _read(self, task: Task, node: DagNode, outputs: list[Output]) -> None:
        check_claims(task, node)
        if task.role is Role.ROOT and not self.told_bytes:
            self.told_bytes = node.size_bytes + (0 if node.is_file else node.block_bytes)
        self._count_unclaimed(task, node)
        outputs += self._emit(task, node)

    def _extend(
        self, above: Task | None, tasks: Iterable[Task], block_bytes: int, outputs: list[Output]
    ) -> None:
        """Add children; those whose CID is their content are opened on the spot."""
        level = Level.below(above)
        for place, (task, inlined) in enumerate(spread(tasks)):
            if not self._wanted(task):
                continue
            if inlined is not None:
                self._read(task, inlined, outputs)
            elif not self._told(task):
                level.add(task, place)
        if level.tasks:
            level.complete(block_bytes)
            self._frontier.add(level)

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
