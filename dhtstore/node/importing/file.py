"""Importing one file: leaves in several threads at once, their parents as they fill.

data path: file bytes -> worker threads (read, hash, stage) -> leaf CIDs in order -> builder ->
interior blocks.  Bounded: at most JOBS jobs are in memory at once.
Where the content says where a chunk ends, one job reads and cuts some chunks after the other.

The size a file system tells is where reading in several threads ends.  A file that ends elsewhere
(those of procfs and sysfs do) or that changed meanwhile is read again, once, from its beginning to
where it ends: what was read is what is stored, or nothing is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import SourceChanged
from dhtstore.model.cid import Cid
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.store.files.sources.file import FileSource
from dhtstore.tasks import pipelined

JOBS = 4  # read, hashed and staged at once: keeps the worker threads busy

ByteStream = AsyncIterator[bytes]  # standard input, in pieces of any size


class _Leaf(NamedTuple):
    """One that is staged."""

    cid: Cid
    size_bytes: int
    chunk: bytes


async def import_file(batch: ImportBatch, source: FileSource) -> Imported:
    """Raises SourceChanged if it changed each time it was read, UnreadableSource, NoRoom."""
    before_bytes = batch.done_bytes
    try:
        if batch.manner.preserve and source.size_bytes <= batch.profile.one_leaf_bytes:
            return await _import_small(batch, source)
        if batch.profile.by_content:
            return await _import_in_order(batch, source)
        return await _import_spans(batch, source)
    except SourceChanged:
        await batch.disk.blocking.run(source.look)
        batch.done_bytes = before_bytes
        return await _import_in_order(batch, source)


async def _import_spans(batch: ImportBatch, source: FileSource) -> Imported:
    chunk = batch.profile.chunk_size_bytes
    builder, run = FileBuilder(batch.profile), batch.disk.blocking.run
    jobs = (
        partial(run, _read_leaf, batch, source, offset, chunk)
        for offset in range(0, max(source.size_bytes, 1), chunk)
    )
    async with aclosing(pipelined(jobs, JOBS)) as leaves:
        async for cid, size_bytes in leaves:
            await _add_leaf(batch, builder, cid, size_bytes)
    await run(source.check_unchanged)
    return await _finish(batch, builder, batch.manner.kept(source.metadata))


async def _import_small(batch: ImportBatch, source: FileSource) -> Imported:
    """One leaf, as its size says, whose bytes go where its mode and time are."""

    def work() -> Imported:
        data = source.read(0, source.size_bytes)
        source.check_unchanged()
        return batch.put_small(data, source.path, source.metadata)

    imported = await batch.disk.blocking.run(work)
    await batch.advance(imported.size_bytes)
    return imported


async def _import_in_order(batch: ImportBatch, source: FileSource) -> Imported:
    builder, run = FileBuilder(batch.profile), batch.disk.blocking.run
    offset, first = 0, b""
    while leaves := await run(_read_next, batch, source, offset):
        first = first or leaves[0].chunk
        for leaf in leaves:
            await _add_leaf(batch, builder, leaf.cid, leaf.size_bytes)
        offset += sum(leaf.size_bytes for leaf in leaves)
    return await _finish(batch, builder, batch.manner.kept(source.metadata), first)


def _read_next(batch: ImportBatch, source: FileSource, offset: int) -> list[_Leaf]:
    """The leaves that follow, none at the end.  Checked each time: what grows as fast as it is
    read has no end."""
    wanted = batch.profile.read_ahead_bytes
    data = source.read_on(offset, wanted)
    source.check_unchanged()
    chunks = batch.profile.chunks(data, ended=len(data) < wanted)
    return _put_leaves(batch, chunks, source.path, offset)


def _put_leaves(
    batch: ImportBatch, chunks: Iterable[bytes], path: tuple[str, ...], offset: int
) -> list[_Leaf]:
    """In a worker.  Only the first keeps its bytes: those of a file of one leaf may be wanted."""
    leaves: list[_Leaf] = []
    for chunk in chunks:
        leaf = _Leaf(*batch.put_leaf(chunk, path, offset), b"" if leaves else chunk)
        leaves.append(leaf)
        offset += leaf.size_bytes
    return leaves


async def import_stream(batch: ImportBatch, stream: ByteStream) -> Imported:
    """A file whose length shows at its end.  Raises NoRoom, and what the stream raises."""
    builder, rest, ended = FileBuilder(batch.profile), b"", False
    pieces = chunks_of(stream, batch.profile.read_ahead_bytes)
    while not ended:
        piece = await anext(pieces, None)
        ended = piece is None
        data = rest + (piece or b"")
        chunks = batch.profile.chunks(data, ended=ended)
        leaves = await batch.disk.blocking.run(_put_leaves, batch, chunks, (), batch.done_bytes)
        for leaf in leaves:
            await _add_leaf(batch, builder, leaf.cid, leaf.size_bytes)
        rest = data[sum(leaf.size_bytes for leaf in leaves) :]
    return await _finish(batch, builder)


def _read_leaf(
    batch: ImportBatch, source: FileSource, offset: int, size_bytes: int
) -> tuple[Cid, int]:
    return batch.put_leaf(source.read(offset, size_bytes), source.path, offset)


async def _add_leaf(batch: ImportBatch, builder: FileBuilder, cid: Cid, size_bytes: int) -> None:
    await batch.stage(builder.add_leaf(cid, size_bytes))
    await batch.advance(size_bytes)


async def _finish(
    batch: ImportBatch,
    builder: FileBuilder,
    metadata: Metadata | None = None,
    content: bytes = b"",
) -> Imported:
    """``content`` is that of the first leaf, which the only one needs if it has metadata."""
    root = builder.finish(metadata, content)
    await batch.stage(root.blocks)
    return Imported(root.cid, root.size_bytes, root.tsize_bytes, root.height)


async def chunks_of(stream: ByteStream, chunk_size_bytes: int) -> AsyncIterator[bytes]:
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
