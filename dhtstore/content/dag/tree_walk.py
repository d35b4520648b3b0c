"""Walk whatever a root is, file or directory: for export to a file system, or for the paths at
which some blocks lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dhtstore.content.codec.unixfs import DagNode, Kind
from dhtstore.content.dag.children import Role, Task
from dhtstore.content.dag.dag_walk import DagWalk, piece, root_task
from dhtstore.content.dag.frontier import Level
from dhtstore.content.dag.units import Place
from dhtstore.content.dag.walk import Directory, File, Output, Symlink, Want, symlink_alone
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.model.names import name_of, quoted
from dhtstore.params import TREE_ENTRIES_MAX

_WANTS_AT_ONCE = 256


class TreeWalk(DagWalk):
    """Emits directories, files, symbolic links and pieces, each parent before its children.

    Paths are safe to create below the target: no name leaves its directory, no name stands
    twice, no symbolic link leads out.  ``place`` comes from ``resolve``.  Where the root is a
    symbolic link, SymlinkAlone is raised, at once if its CID is its content.
    """

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        self._entries = 0
        super().__init__([root_task(root, place)])

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.role is Role.PART:
            return piece(task, node)
        if task.role is Role.SHARD:
            return []
        self._entries += 1
        if self._entries > TREE_ENTRIES_MAX:
            raise MalformedDag(f"a tree of more than {TREE_ENTRIES_MAX} entries")
        if node.is_file:
            return [File(task.path, node.size_bytes, node.mode, node.mtime), *piece(task, node)]
        if node.kind is Kind.SYMLINK:
            return [_symlink(task, node)]
        return [Directory(task.path, node.mode, node.mtime)]


def _symlink(task: Task, node: DagNode) -> Symlink:
    """Raises SymlinkAlone for the root of a walk, MalformedDag if it may lead out."""
    target = name_of(bytes(node.content))
    if not task.path:
        raise symlink_alone(task.cid, node)
    if may_lead_out(task.path, target):
        name = "/".join(task.path)
        raise MalformedDag(f"a symbolic link {quoted(name)} to {quoted(target[:80])} may lead out")
    return Symlink(task.path, target, node.mtime)


def may_lead_out(path: tuple[str, ...], target: str) -> bool:
    """Whether a symbolic link at ``path`` could lead out of its tree.

    Only leading ``..`` are allowed, and no more than there are directories above the link:
    those are real directories.  Whatever names follow lead down, or through further links that
    were held to the same rule.  A ``..`` after a name could climb out through such a link.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    outside = target.startswith("/") or ups > len(path) - 1 or ".." in parts[ups:]
    return outside or "\0" in target or not path


def reads_as_within(path: tuple[str, ...], target: str) -> bool:
    """Whether a link at ``path`` stays in its tree if every name in ``target`` is a directory, as
    in ``d/../f``: it is not told then that it leads out."""
    depth = len(path) - 1
    for part in target.split("/"):
        depth += 0 if part in ("", ".") else -1 if part == ".." else 1
        if depth < 0:
            return False
    return not target.startswith("/")


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
                walk.pass_over(want)
            else:
                walk.accept(want, node)
