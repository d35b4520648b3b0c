"""Get: a CID, or a path below one, becomes a file or a directory.

data path: root -> path resolved -> TreeWalk -> fetch (store, else holders) -> verified pieces ->
NAME.part, out of order -> fsync, rename.  Nothing enters the store and nothing is announced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Directory, File, Leaf, Output
from dhtstore.errors import IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.content import HolderShare
from dhtstore.operations.operation import Progress, Watch
from dhtstore.store.files.output import FileOutput, check_target
from dhtstore.store.files.tree_output import TreeOutput


@dataclass(frozen=True, slots=True)
class GetOutcome:
    """``size_bytes`` of content were written; ``holders`` are the nodes that were connected
    to for blocks and ``causes`` why others could not be (node -> reason); ``shares`` is what
    each did."""

    cid: Cid
    size_bytes: int
    holders: Sequence[str]
    causes: dict[str, str]
    shares: Sequence[HolderShare]


async def get(
    session: FetchSession,
    root: Cid,
    names: Sequence[str],
    dir_fd: int,
    name: str,
    *,
    timeout_s: float | None,
    progress: Watch,
) -> GetOutcome:
    """Write what ``root`` and the path ``names`` below it lead to as ``name`` into a directory.

    Raises NotFound, Unreachable, IntegrityFailure, SymlinkAlone, TargetUnusable, NoRoom.  What
    was verified stays beside the target as ``name.part`` and the next get goes on from there.
    """
    run = session.disk.blocking.run
    await run(check_target, dir_fd, name)
    resolved = await session.resolve(root, names)
    target = Target(dir_fd, name, resolved.cid)

    def tell(done_bytes: int) -> None:
        holders = len(session.connected)
        progress(Progress("fetching", done_bytes, target.total_bytes, holders))

    delivery = Delivery(partial(run, target.accept), have=target.have, progress=tell)
    walk = TreeWalk(resolved.cid, place=resolved.place)
    try:
        await session.fetch(walk, delivery, timeout_s=timeout_s)
        await run(target.finish)
    finally:
        await run(target.close)
    return GetOutcome(
        resolved.cid,
        target.size_bytes,
        session.connected,
        session.unreached,
        session.shares(),
    )


class Target:
    """A file or a directory: what it is shows with the first output."""

    def __init__(self, dir_fd: int, name: str, root: Cid) -> None:
        self._dir_fd, self._name, self._root = dir_fd, name, root
        self._file: FileOutput | None = None
        self._tree: TreeOutput | None = None
        self.size_bytes = 0

    def accept(self, outputs: Sequence[Output]) -> None:
        """The sink of the fetch; runs in a worker thread."""
        if outputs and self._file is None and self._tree is None:
            self._open(outputs[0])
        self.size_bytes += sum(out.size_bytes for out in outputs if isinstance(out, File))
        if self._file is not None:
            self._file.accept(outputs)
        if self._tree is not None:
            self._tree.accept(outputs)

    def have(self, leaf: Leaf) -> bool:
        """Whether an earlier try wrote these bytes, verified."""
        if self._file is not None:
            return self._file.have(leaf.offset, leaf.size_bytes)
        return self._tree is not None and self._tree.finished(leaf.path)

    @property
    def total_bytes(self) -> int | None:
        """The size of a file; that of a directory is not known before its end."""
        return self.size_bytes if self._file is not None else None

    def finish(self) -> None:
        output = self._file or self._tree
        if output is None:
            raise IntegrityFailure(f"{self._root} holds nothing that can be written")
        output.finish()

    def close(self) -> None:
        for output in (self._file, self._tree):
            if output is not None:
                output.close()

    def _open(self, first: Output) -> None:
        if isinstance(first, Directory):
            self._tree = TreeOutput(self._dir_fd, self._name, self._root)
        else:
            self._file = FileOutput(self._dir_fd, self._name, self._root)
