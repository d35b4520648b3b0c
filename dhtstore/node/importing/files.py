"""From a source to blocks in the store: the first half of a put.

data path: file bytes -> worker threads (read, hash, stage) -> leaf CIDs in order -> builder ->
interior blocks -> commit groups.  Bounded: at most JOBS jobs are in memory at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dhtstore.content.builders.importer import FileBuilder, Profile
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.tree import Imported, TreeImport
from dhtstore.params import MIB
from dhtstore.store.blocks.contract import Batch
from dhtstore.store.blocks.write_block import write_block
from dhtstore.store.files.source import FileSource, TreeSource
from dhtstore.tasks import pipelined

JOBS = 4  # read, hashed and staged at once: keeps the worker threads busy
COMMIT_GROUP_BYTES = 256 * MIB  # what one fsync and one index transaction cover

ByteStream = AsyncIterator[bytes]  # standard input, in pieces of any size
Source = FileSource | TreeSource | ByteStream


@dataclass(slots=True)
class Import:
    """One import under way."""

    disk: Disk
    profile: Profile
    progress: Callable[[int], None]
    batch: Batch = field(init=False)
    done_bytes: int = 0
    uncommitted_bytes: int = 0

    async def run(self, source: Source) -> Imported:
        """Import everything and commit it; blocks that were stored before are then whole too.

        Raises SourceChanged, UnreadableSource, NoRoom.  On failure nothing staged since the
        last commit group stays; what was committed is picked up when the put is repeated.
        """
        with self.disk.store.batch() as self.batch:
            result = await self._import(source)
            await self.disk.blocking.run(self.batch.commit)
        return result

    async def _import(self, source: Source) -> Imported:
        if isinstance(source, TreeSource):
            return await TreeImport(self, source).run()
        if isinstance(source, FileSource):
            return await self.file(source)
        return await self._stream(source)

    # --- one file ---------------------------------------------------------------------------

    async def file(self, source: FileSource) -> Imported:
        """Import one file, its leaves in a few threads at once."""
        builder = FileBuilder(self.profile)
        chunk = self.profile.chunk_size_bytes
        jobs = (
            partial(self.disk.blocking.run, self._read_leaf, source, offset, chunk)
            for offset in range(0, max(source.size_bytes, 1), chunk)
        )
        await self._add_leaves(builder, jobs)
        await self.disk.blocking.run(source.check_unchanged)
        return await self._finish(builder)

    async def _stream(self, stream: ByteStream) -> Imported:
        builder = FileBuilder(self.profile)
        async for chunk in _chunks(stream, self.profile.chunk_size_bytes):
            cid, size = await self.disk.blocking.run(self.stage_leaf, chunk)
            await self._add_leaf(builder, cid, size)
        return await self._finish(builder)

    async def _add_leaves(
        self,
        builder: FileBuilder,
        jobs: Iterable[Callable[[], Coroutine[Any, Any, tuple[Cid, int]]]],
    ) -> None:
        async with aclosing(pipelined(jobs, JOBS)) as leaves:
            async for cid, size in leaves:
                await self._add_leaf(builder, cid, size)

    async def _add_leaf(self, builder: FileBuilder, cid: Cid, size_bytes: int) -> None:
        await self.stage(builder.add_leaf(cid, size_bytes))
        await self.advance(size_bytes)

    async def _finish(self, builder: FileBuilder) -> Imported:
        root = builder.finish()
        await self.stage(root.blocks)
        return Imported(root.cid, root.size_bytes, root.tsize_bytes)

    def _read_leaf(self, source: FileSource, offset: int, count: int) -> tuple[Cid, int]:
        return self.stage_leaf(source.read(offset, count))

    def stage_leaf(self, chunk: bytes) -> tuple[Cid, int]:
        leaf = self.profile.leaf(chunk)
        self.put(leaf)
        return leaf.cid, len(chunk)

    # --- shared -----------------------------------------------------------------------------

    async def stage(self, blocks: Sequence[Block]) -> None:
        if blocks:
            await self.disk.blocking.run(self.put_all, blocks)

    def put_all(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.put(block)

    def put(self, block: Block) -> None:
        write_block(self.disk.store, self.batch, block.cid, block.data)

    async def advance(self, size_bytes: int) -> None:
        self.done_bytes += size_bytes
        self.uncommitted_bytes += size_bytes
        self.progress(self.done_bytes)
        if self.uncommitted_bytes >= COMMIT_GROUP_BYTES:
            self.uncommitted_bytes = 0
            await self.disk.blocking.run(self.batch.commit)


async def _chunks(stream: ByteStream, chunk_size_bytes: int) -> AsyncIterator[bytes]:
    """Cut a stream into chunks of exactly ``chunk_size_bytes``, the last one shorter; an empty
    stream is one empty chunk."""
    buffer, first = bytearray(), True
    async for piece in stream:
        buffer += piece
        while len(buffer) >= chunk_size_bytes:
            yield bytes(buffer[:chunk_size_bytes])
            del buffer[:chunk_size_bytes]
            first = False
    if buffer or first:
        yield bytes(buffer)
