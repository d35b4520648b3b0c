"""Walk whatever a root is, file or directory, for export to a file system."""

from __future__ import annotations

from dhtstore.content.children import Role, Task
from dhtstore.content.dag_walk import DagWalk, piece, root_task
from dhtstore.content.units import Place
from dhtstore.content.unixfs import Kind, Node
from dhtstore.content.walk import Directory, File, Output, Symlink
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.params import TREE_ENTRIES_MAX


class TreeWalk(DagWalk):
    """Emits directories, files, symbolic links and pieces, each parent before its children.

    Paths are safe to create below the target: no name leaves its directory, no name stands
    twice, no symbolic link leads out.  ``place`` comes from ``resolve``.
    """

    def __init__(self, root: Cid, *, place: Place | None = None) -> None:
        self._entries = 0
        super().__init__([root_task(root, place)])

    def _emit(self, task: Task, node: Node) -> list[Output]:
        if task.role is Role.PART:
            return piece(task, node)
        if task.role is Role.SHARD:
            return []
        self._entries += 1
        if self._entries > TREE_ENTRIES_MAX:
            raise MalformedDag(f"a tree of more than {TREE_ENTRIES_MAX} entries")
        if node.is_file:
            return [File(task.path, node.size_bytes, node.mode), *piece(task, node)]
        if node.kind is Kind.SYMLINK:
            return [Symlink(task.path, safe_target(task.path, node))]
        return [Directory(task.path)]


def safe_target(path: tuple[str, ...], node: Node) -> str:
    """The target of the symbolic link at ``path``.  Raises MalformedDag if it may lead out."""
    try:
        target = bytes(node.content).decode()
    except UnicodeDecodeError:
        raise MalformedDag("a symbolic link whose target is not UTF-8") from None
    if may_lead_out(path, target):
        raise MalformedDag(f"a symbolic link {'/'.join(path)!r} to {target[:80]!r} may lead out")
    return target


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
