"""Walk one directory for its entries: all shards at once, rows in DAG order.

data path: next -> many wants -> (fetched and verified elsewhere) -> accept -> rows, held back until
all that stand before them are known -> output.  So the order is the directory's own, whatever
arrives first: by name, and where a directory is sharded by the hashes of the names.
"""

from __future__ import annotations

from heapq import heappop, heappush

from dhtstore.content.codec.unixfs import DagNode, Kind
from dhtstore.content.dag.children import Role, Task, check_claims
from dhtstore.content.dag.dag_walk import DagWalk, root_task
from dhtstore.content.dag.frontier import Level, OpenPlaces
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import TYPES, Leaf, Listed, Output, Want, not_a
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import LISTED_HELD_MAX, TREE_ENTRIES_MAX


class ListWalk(DagWalk):
    """Emits a ``Listed`` for each entry.  An entry that is no raw block is fetched for its type and
    size, and what lies below it is not.

    Raises UsageError if the root is no directory; MalformedDag.
    """

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        self._entries, self._slots = 0, 1
        self._held: list[tuple[tuple[int, ...], Listed]] = []  # a heap, by the place in the DAG
        super().__init__([root_task(root, place)])
        self._open = OpenPlaces(self._frontier, self._pending)
        self.opening += self._released()

    def next(self, limit: int) -> list[Want]:
        """As ``DagWalk.next``; no more than what may be held if the first of them comes last."""
        return super().next(min(limit, self._room()))

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        super().accept(want, node)
        return self._released()

    def leaf(self, want: Want) -> Leaf | None:
        return None

    def _want(self, taken: Task | Level) -> Want:
        want = super()._want(taken)
        self._open.add(taken, want.sequence)
        return want

    def _room(self) -> int:
        """How many more blocks may be wanted: each may bring as many rows as a shard has slots.

        The first may in any case, which all that is held waits for."""
        wanted = len(self._pending)
        free = LISTED_HELD_MAX - len(self._held)
        return max(free // self._slots - wanted, 0 if wanted else 1)

    def _released(self) -> list[Output]:
        """The rows before which nothing more can come."""
        first = self._open.first()
        rows: list[Output] = []
        while self._held and (first is None or self._held[0][0] < first):
            rows.append(heappop(self._held)[1])
        return rows

    # --- what this walk decides -------------------------------------------------------------

    def _wanted(self, task: Task) -> bool:
        """Not what lies below an entry, as where an entry's CID is its content."""
        return not (task.directory if task.role is Role.ENTRY else task.path)

    def _told(self, task: Task) -> bool:
        """The link to a raw block says all there is to say."""
        told = task.role is Role.ENTRY and task.is_leaf
        if told:
            self._add(task, Listed(task.name, task.cid, "file", task.claim_bytes))
        return told

    def _opens(self, task: Task) -> bool:
        return task.role is not Role.ENTRY

    def _read(self, task: Task, node: DagNode, outputs: list[Output]) -> None:
        check_claims(task, node)
        if task.role is Role.ENTRY:
            self._add(task, _row(task, node))
        elif node.kind not in (Kind.DIRECTORY, Kind.SHARD):
            raise not_a("directory", task.cid, node.kind)
        else:
            self._count_unclaimed(task, node)
            self._slots = max(node.fanout, 1)

    def _add(self, task: Task, row: Listed) -> None:
        self._entries += 1
        if self._entries > TREE_ENTRIES_MAX:
            raise MalformedDag(f"a directory of more than {TREE_ENTRIES_MAX} entries")
        heappush(self._held, (task.order, row))


def _row(task: Task, node: DagNode) -> Listed:
    size_bytes = node.size_bytes if node.is_file else None
    if node.kind is Kind.SYMLINK:
        size_bytes = len(node.content)
    return Listed(task.name, task.cid, TYPES[node.kind], size_bytes)
