"""Get: a CID, or a path below one, becomes a file or a directory.

data path: root -> path resolved -> TreeWalk -> fetch (store, else holders) -> verified pieces ->
NAME.part, out of order -> fsync, rename.  Nothing enters the store but what is cached for whoever
asked for that (``node/keeping/cached.py``), and nothing is announced.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.file_walk import RangeWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Directory, File, Leaf, Output
from dhtstore.errors import IntegrityFailure, OldLeft
from dhtstore.model.cid import Cid
from dhtstore.node.context import surely
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.operations.operation import KEPT, Progress, Watch
from dhtstore.store.files.kept import kept_bytes
from dhtstore.store.files.output import FileOutput
from dhtstore.store.files.partial import begun_before, check_target
from dhtstore.store.files.tree_output import TreeOutput

Span = tuple[int, int | None]  # as ``RangeWalk`` takes it


@dataclass(frozen=True, slots=True)
class GetOutcome:
    """``size_bytes`` of content were written; ``holders`` are the nodes that were connected
    to for blocks and ``causes`` why others could not be (node -> reason); ``report`` is what
    was done."""

    cid: Cid
    size_bytes: int
    holders: Sequence[str]
    causes: dict[str, str]
    report: FetchReport


async def get(
    session: FetchSession,
    root: Cid,
    names: Sequence[str],
    dir_fd: int,
    name: str,
    *,
    timeout_s: float | None,
    progress: Watch,
    force: bool = False,
    span: Span | None = None,
) -> GetOutcome:
    """Write what ``root`` and the path ``names`` below it lead to as ``name`` into a directory,
    with ``force`` in place of what is there; of a file only ``span`` if that is given.

    Raises NotFound, Unreachable, IntegrityFailure, SymlinkAlone, TargetUnusable, NoRoom, and
    UsageError for a span that is not in the file, or of a directory.  What
    was written stays beside the target as ``name.part``; the next get hashes it again and goes
    on from there.
    """
    run = session.disk.blocking.run
    await run(partial(check_target, dir_fd, name, force=force))
    resolved = await session.resolve(root, names)
    target = Target(dir_fd, name, resolved.cid, force=force, span=span)
    walk: DagWalk = TreeWalk(resolved.cid, place=resolved.place)
    if span is not None:
        walk = RangeWalk(resolved.cid, *span, place=resolved.place)
    meter = _GetMeter(session, target, walk, progress)
    delivery = Delivery(
        partial(run, target.accept),
        keep=session.keep,
        found=session.found,
        earlier=target,
        progress=meter.advance,
    )
    try:
        await run(target.look_back)
        await session.fetch(walk, delivery, timeout_s=timeout_s)
        await run(target.finish)
    except BaseException as error:
        await surely(session.disk.blocking, target.close)
        if not isinstance(error, OldLeft):
            meter.cut_short()
        raise
    await surely(session.disk.blocking, target.close)
    return GetOutcome(
        resolved.cid,
        target.size_bytes,
        session.connected,
        session.unreached,
        session.report(),
    )


class _GetMeter:
    """What was there counts as done from the beginning, so that a get that goes on does so from
    where it stopped; the total is what the root says of itself."""

    def __init__(self, session: FetchSession, target: Target, walk: DagWalk, sink: Watch) -> None:
        self._session, self._target, self._walk, self._sink = session, target, walk, sink

    def advance(self, done_bytes: int) -> None:
        target = self._target
        if target.looks_back:
            return
        earlier_bytes = target.recalled_bytes + target.due_bytes
        self._tell("fetching", done_bytes + target.due_bytes, earlier_bytes)

    def cut_short(self) -> None:
        self._tell(KEPT, self._target.kept_bytes, 0)

    def _tell(self, phase: str, done_bytes: int, earlier_bytes: int) -> None:
        total_bytes = self._walk.told_bytes or None
        done_bytes = min(done_bytes, total_bytes) if total_bytes else done_bytes
        holders = self._session.connected
        told = self._session.given()
        self._sink(Progress(phase, done_bytes, total_bytes, len(holders), earlier_bytes, told))


class Target:
    """A file or a directory: what it is shows with the first output, or the first that an
    earlier run claims."""

    def __init__(
        self, dir_fd: int, name: str, root: Cid, *, force: bool = False, span: Span | None = None
    ) -> None:
        self._dir_fd, self._name, self._root, self._force = dir_fd, name, root, force
        self._part = (
            b"" if span is None else b" %d %d" % (span[0], -1 if span[1] is None else span[1])
        )
        self._output: FileOutput | TreeOutput | None = None
        self._opening = threading.Lock()
        self._begun_before, self._left = False, 0
        self.size_bytes = self.recalled_bytes = self.lost_bytes = 0

    def look_back(self) -> None:
        """See whether an earlier run left something; for a worker thread."""
        self._begun_before = begun_before(self._dir_fd, self._name)

    def accept(self, outputs: Sequence[Output]) -> None:
        """The sink of the fetch; runs in a worker thread."""
        if outputs:
            self.size_bytes += sum(out.size_bytes for out in outputs if isinstance(out, File))
            self._opened(is_tree=isinstance(outputs[0], Directory)).accept(outputs)

    def claims(self, leaf: Leaf) -> bool:
        """Whether an earlier run says that it wrote these bytes."""
        return self._begun_before and (self._output is None or self._output.claims(leaf))

    def recall(self, leaf: Leaf, cid: Cid) -> bytes | None:
        """The bytes, if they are there and right; runs in worker threads."""
        output = self._opened(is_tree=bool(leaf.path))
        data = output.recall(leaf, cid) if output.claims(leaf) else None
        with self._opening:
            self.recalled_bytes += leaf.size_bytes if data is not None else 0
            self.lost_bytes += leaf.size_bytes if data is None else 0
        return data

    @property
    def due_bytes(self) -> int:
        """Of what an earlier run claims, what was not looked at yet."""
        claimed_bytes = self._output.claimed_bytes if self._output else 0
        return max(0, claimed_bytes - self.recalled_bytes - self.lost_bytes)

    @property
    def looks_back(self) -> bool:
        """Whether an earlier run left something, and nobody knows yet how much."""
        return self._begun_before and self._output is None

    @property
    def kept_bytes(self) -> int:
        """What the next run will find, once this one is closed."""
        return max(0, self._output.kept_bytes - self.lost_bytes) if self._output else self._left

    def finish(self) -> None:
        if self._output is None:
            raise IntegrityFailure(f"{self._root} holds nothing that can be written")
        self._output.finish()

    def close(self) -> None:
        with self._opening:  # a worker may be at it, after the get itself has ended
            output = self._output
        if output is not None:
            output.close()
        elif begun_before(self._dir_fd, self._name):  # also if it ends before it could look back
            self._left = kept_bytes(self._dir_fd, self._name, self._root, self._part)

    def _opened(self, *, is_tree: bool) -> FileOutput | TreeOutput:
        with self._opening:
            if self._output is None:
                self._output = self._open(is_tree=is_tree)
            return self._output

    def _open(self, *, is_tree: bool) -> FileOutput | TreeOutput:
        where = (self._dir_fd, self._name, self._root)
        if is_tree:
            return TreeOutput(*where, force=self._force)
        return FileOutput(*where, force=self._force, part=self._part)
