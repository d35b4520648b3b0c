"""Importing a directory tree: many small files in a few jobs, directories built bottom up.

data path: listing, depth first -> small files in groups, large ones one by one -> entries ->
a directory is built and staged when the listing has left it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from dhtstore.content.builders.directory import DirectoryChild, build_directory, symlink_block
from dhtstore.content.builders.importer import FileBuilder
from dhtstore.content.dag.tree_walk import may_lead_out
from dhtstore.errors import UnreadableSource
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.file import import_file
from dhtstore.params import DAG_DEPTH_MAX
from dhtstore.store.files.source import SourceEntry, TreeSource
from dhtstore.tasks import pipelined

LISTED_AT_ONCE = 2048  # entries in memory beyond those of the directories that are open
GROUP_FILES = 64  # small files handled in one job: a hop between threads costs as much as a file
GROUPS_AT_ONCE = 4

Path = tuple[str, ...]


@dataclass(slots=True)
class _OpenDirectory:
    """A directory whose listing is not over."""

    path: Path
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
    open: list[_OpenDirectory] = field(default_factory=lambda: [_OpenDirectory(())])

    async def run(self) -> Imported:
        listing = self.source.entries()
        blocking = self.batch.disk.blocking
        while chunk := await blocking.run(_take, listing):
            made = await self._import_files(chunk)
            for entry in chunk:
                await self._leave(entry.path[:-1])
                if entry.kind == "directory":
                    self.open.append(_OpenDirectory(entry.path))
                else:
                    self.open[-1].add(entry.path[-1], made[entry.path])
        await self._leave(())
        return await self._build(self.open[0])

    async def _leave(self, parent: Path) -> None:
        """Build the open directories that ``parent`` is not inside of, innermost first."""
        while self.open[-1].path != parent:
            done = self.open.pop()
            self.open[-1].add(done.path[-1], await self._build(done))

    async def _build(self, done: _OpenDirectory) -> Imported:
        build = partial(build_directory, done.entries, self.batch.profile)
        root = await self.batch.disk.blocking.run(build)
        if len(done.path) + root.height > DAG_DEPTH_MAX:
            raise _too_tall(done)
        await self.batch.stage(root.blocks)
        return Imported(root.cid, done.size_bytes, root.tsize_bytes, root.height)

    # --- files ------------------------------------------------------------------------------

    async def _import_files(self, chunk: Sequence[SourceEntry]) -> dict[Path, Imported]:
        made: dict[Path, Imported] = {}
        small = [entry for entry in chunk if self._looks_small(entry)]
        groups = [small[at : at + GROUP_FILES] for at in range(0, len(small), GROUP_FILES)]
        jobs = [
            partial(self.batch.disk.blocking.run, self._import_group, group) for group in groups
        ]
        async with aclosing(pipelined(jobs, GROUPS_AT_ONCE)) as results:
            async for result in results:
                made |= result
                await self.batch.advance(sum(child.size_bytes for child in result.values()))
        for entry in chunk:
            if entry.kind != "directory" and entry.path not in made:
                made[entry.path] = await self._import_large(entry)
        return made

    def _looks_small(self, entry: SourceEntry) -> bool:
        limit = self.batch.profile.chunk_size_bytes
        return entry.kind == "symlink" or (entry.kind == "file" and entry.size_bytes <= limit)

    async def _import_large(self, entry: SourceEntry) -> Imported:
        file = await self.batch.disk.blocking.run(self.source.open, entry.path)
        try:
            return await import_file(self.batch, file)
        finally:
            file.close()

    def _import_group(self, group: Sequence[SourceEntry]) -> dict[Path, Imported]:
        """Of those that are as small as they looked."""
        made = {entry.path: self._import_small(entry) for entry in group}
        return {path: imported for path, imported in made.items() if imported}

    def _import_small(self, entry: SourceEntry) -> Imported | None:
        """None for a file that turns out to be larger than one leaf."""
        if entry.kind == "symlink":
            return self._import_link(entry)
        data = self._read_small(entry)
        if data is None:
            return None
        builder = FileBuilder(self.batch.profile)
        builder.add_leaf(*self.batch.put_leaf(data, entry.path, 0))
        root = builder.finish()
        self.batch.put_all(root.blocks)
        return Imported(root.cid, root.size_bytes, root.tsize_bytes, root.height)

    def _import_link(self, entry: SourceEntry) -> Imported:
        if may_lead_out(entry.path, entry.target):
            link = "/".join(entry.path)
            raise UnreadableSource(
                f"the symbolic link {link!r} to {entry.target!r} leads out of the directory:"
                " nobody could get it back"
            )
        block = symlink_block(entry.target, self.batch.profile)
        self.batch.put(block)
        return Imported(block.cid, 0, len(block.data))

    def _read_small(self, entry: SourceEntry) -> bytes | None:
        file = self.source.open(entry.path)
        try:
            return file.read_whole(self.batch.profile.chunk_size_bytes)
        finally:
            file.close()


def _too_tall(done: _OpenDirectory) -> UnreadableSource:
    """Large files and directories are several levels of blocks themselves."""
    tallest = max(done.entries, key=lambda entry: entry.height)
    path = (*done.path, tallest.name) if tallest.height else done.path
    return UnreadableSource(
        f"{'/'.join(path)} is too large to lie so deep in a tree: more than {DAG_DEPTH_MAX} levels"
        " of blocks cannot be got back"
    )


def _take(listing: Iterator[SourceEntry]) -> list[SourceEntry]:
    return list(islice(listing, LISTED_AT_ONCE))
