"""Importing a directory tree: many small files in a few jobs, directories built bottom up.

data path: listing, depth first -> small files in groups, large ones one by one -> entries ->
a directory is built and staged when the listing has left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from dhtstore.content.builders.directory import DirectoryChild, build_directory
from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.node.context import surely
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.file import import_file
from dhtstore.node.importing.group import Unreadable, import_group
from dhtstore.params import DAG_DEPTH_MAX, TREE_ENTRIES_MAX
from dhtstore.store.files.sources.file import refusal
from dhtstore.store.files.sources.tree import SourceEntry, TreeSource
from dhtstore.tasks import pipelined

GROUP_FILES = 64  # small files handled in one job: a hop between threads costs as much as a file
GROUPS_AT_ONCE = 4

Path = tuple[str, ...]


@dataclass(slots=True)
class OpenDirectory:
    """A directory of which not all is known yet."""

    path: Path
    metadata: Metadata | None = None
    entries: list[DirectoryChild] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, name: str, child: Imported) -> None:
        entry = DirectoryChild(name, child.cid, child.tsize_bytes, child.height)
        self.entries.append(entry)
        self.size_bytes += child.size_bytes


@dataclass(slots=True)
class TreeImport:
    """One directory tree on its way into the store."""

    batch: ImportBatch
    source: TreeSource
    open: list[OpenDirectory] = field(default_factory=list)
    entries: int = 0

    async def run(self) -> Imported:
        """Raises SourceChanged and UnreadableSource for the root, and where nothing may be
        skipped."""
        portions = self.source.portions()
        self.open.append(OpenDirectory((), self.batch.manner.kept(self.source.metadata)))
        blocking = self.batch.disk.blocking
        try:
            while (chunk := await blocking.run(next, portions, None)) is not None:
                await self._take(chunk)
        finally:
            await surely(blocking, portions.close)
        await self._leave(())
        return await self._build_root()

    async def _take(self, portion: list[SourceEntry]) -> None:
        self.entries += len(portion)
        if self.entries > TREE_ENTRIES_MAX:
            raise refusal(self.source.name, f"has more than {TREE_ENTRIES_MAX} entries")
        made = await self._import_files(portion)
        for entry in portion:
            await self._enter(entry, made.get(entry.path))

    async def _enter(self, entry: SourceEntry, made: Imported | Unreadable | None) -> None:
        await self._leave(entry.path[:-1])
        if entry.failure is not None:
            self.batch.manner.skip(entry.path, entry.failure)
        elif isinstance(made, Imported):
            self.open[-1].add(entry.path[-1], made)
        elif made is not None:
            self.batch.manner.skip(entry.path, made)
        else:
            metadata = entry.metadata if self.batch.manner.preserve else None
            self.open.append(OpenDirectory(entry.path, metadata))

    async def _leave(self, parent: Path) -> None:
        """Build the open directories that ``parent`` is not inside of, innermost first."""
        while self.open[-1].path != parent:
            done = self.open.pop()
            try:
                self.open[-1].add(done.path[-1], await build(self.batch, done, self.source.name))
            except UnreadableSource as error:
                self.batch.manner.skip(done.path, error)

    async def _build_root(self) -> Imported:
        return await build(self.batch, self.open[0], self.source.name)

    # --- files ------------------------------------------------------------------------------

    async def _import_files(
        self, chunk: Sequence[SourceEntry]
    ) -> dict[Path, Imported | Unreadable]:
        """What became of the files and links among them."""
        made: dict[Path, Imported | Unreadable] = {}
        small = [entry for entry in chunk if self._looks_small(entry)]
        groups = [small[at : at + GROUP_FILES] for at in range(0, len(small), GROUP_FILES)]
        jobs = [
            partial(self.batch.disk.blocking.run, import_group, self.batch, self.source, group)
            for group in groups
        ]
        async with aclosing(pipelined(jobs, GROUPS_AT_ONCE)) as results:
            async for result in results:
                made |= result
                done = [each for each in result.values() if isinstance(each, Imported)]
                await self.batch.advance(sum(each.size_bytes for each in done))
        for entry in chunk:
            if entry.kind == "file" and entry.path not in made:
                made[entry.path] = await self._import_large(entry)
        return made

    def _looks_small(self, entry: SourceEntry) -> bool:
        limit = self.batch.profile.one_leaf_bytes
        return entry.kind == "symlink" or (entry.kind == "file" and entry.size_bytes <= limit)

    async def _import_large(self, entry: SourceEntry) -> Imported | Unreadable:
        before_bytes = self.batch.done_bytes
        try:
            file = await self.batch.disk.blocking.run(self.source.open, entry.path)
            try:
                return await import_file(self.batch, file)
            finally:
                file.close()
        except (UnreadableSource, SourceChanged) as error:
            self.batch.done_bytes = before_bytes
            return error


async def build(batch: ImportBatch, done: OpenDirectory, name: str) -> Imported:
    """As ``built``."""
    imported = await batch.disk.blocking.run(built, batch, done, name)
    await batch.advance(0)
    return imported


def built(batch: ImportBatch, done: OpenDirectory, name: str) -> Imported:
    """The directory of these entries, but for those that no get could reach.  In a worker.

    Raises UnreadableSource where it is itself too large to lie as deep as it does.
    """
    while True:
        root = build_directory(done.entries, batch.profile, done.metadata)
        if len(done.path) + root.height <= DAG_DEPTH_MAX:
            batch.put_all(root.blocks)
            return Imported(root.cid, done.size_bytes, root.tsize_bytes, root.height)
        _leave_out_tallest(batch, done, name)


def _leave_out_tallest(batch: ImportBatch, done: OpenDirectory, name: str) -> None:
    """Large files and directories are several levels of blocks themselves."""
    height = max(entry.height for entry in done.entries)
    tallest = [(*done.path, each.name) for each in done.entries if each.height == height]
    why = (
        f"is too large to lie so deep in a tree: more than {DAG_DEPTH_MAX} levels of blocks cannot"
        " be got back"
    )
    if not height:
        raise refusal("/".join((name, *done.path)), why)
    for path in tallest:
        batch.manner.skip(path, refusal("/".join((name, *path)), why))
    done.entries = [each for each in done.entries if each.height < height]
