"""From the descriptors that came with a put to the source that they are, and its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from dhtstore.net.local.pipes import read_pipe
from dhtstore.net.ports import Blocking
from dhtstore.node.context import surely
from dhtstore.node.importing.archive import Archive
from dhtstore.node.importing.source import Source
from dhtstore.operations.content import Put, SourceKind
from dhtstore.store.files.sources.excluding import Exclusion
from dhtstore.store.files.sources.file import FileSource, is_file
from dhtstore.store.files.sources.tree import TreeSource
from dhtstore.store.files.sources.wrapped import Wrapped

PIECE_BYTES: Final = 1 << 20

Opened = FileSource | TreeSource


async def open_source(asked: Put, descriptors: list[int], blocking: Blocking) -> Source:
    """What is put.  Takes from ``descriptors`` those that the source owns; pipes it does not.

    Raises UnreadableSource, and UsageError for a malformed pattern.
    """
    entries: list[tuple[SourceKind, str]]
    entries = [(each.kind, each.name) for each in asked.entries]
    entries = entries or [(asked.kind, asked.name)]
    opened: list[Opened | Archive | AsyncGenerator[bytes, None]] = []

    def look() -> None:
        exclusion = Exclusion.of(asked.exclude)
        for kind, name in entries:
            opened.append(_opened(kind, name, descriptors, exclusion, blocking))

    try:
        await blocking.run(look)
    except BaseException:
        for source in opened:
            await _closed(source, blocking)
        raise
    if not asked.entries:
        return opened[0]
    files = [each for each in opened if isinstance(each, Opened)]
    return Wrapped(dict(zip([name for _, name in entries], files, strict=True)))


def _opened(
    kind: SourceKind,
    name: str,
    descriptors: list[int],
    exclusion: Exclusion,
    blocking: Blocking,
) -> Opened | Archive | AsyncGenerator[bytes, None]:
    """Of what the first of the descriptors opens.  A pipe is alone."""
    if kind == "stream":
        return read_pipe(descriptors[0])
    if kind == "archive":
        if not is_file(descriptors[0]):
            return Archive(read_pipe(descriptors[0]), name, exclusion)
        file = FileSource(descriptors.pop(0), name)
        return Archive(_pieces(file, blocking), name, exclusion, file)
    if kind == "file":
        return FileSource(descriptors.pop(0), name)
    return TreeSource(descriptors.pop(0), name, exclusion)


async def _pieces(file: FileSource, blocking: Blocking) -> AsyncGenerator[bytes, None]:
    """Raises UnreadableSource, SourceChanged."""
    offset = 0
    while data := await blocking.run(file.read_on, offset, PIECE_BYTES):
        yield data
        offset += len(data)
    await blocking.run(file.check_unchanged)


@asynccontextmanager
async def bytes_given(
    descriptors: list[int], blocking: Blocking
) -> AsyncIterator[tuple[AsyncGenerator[bytes, None], int | None]]:
    """The bytes of a file or a pipe, the first of ``descriptors``, and how many there are if that
    is known.  Raises UnreadableSource, SourceChanged."""
    opened: list[FileSource] = []

    def look() -> None:
        if is_file(descriptors[0]):
            opened.append(FileSource(descriptors.pop(0)))

    try:
        await blocking.run(look)
        file = opened[0] if opened else None
        pieces = _pieces(file, blocking) if file else read_pipe(descriptors[0])
        async with aclosing(pieces):
            yield pieces, file.size_bytes if file else None
    finally:
        for each in opened:
            await surely(blocking, each.close)


async def close_source(source: Source, blocking: Blocking) -> None:
    """A pipe too: whoever writes to it must see that nobody reads on."""
    for each in source.entries.values() if isinstance(source, Wrapped) else [source]:
        await _closed(each, blocking)


async def _closed(source: object, blocking: Blocking) -> None:
    if isinstance(source, FileSource | TreeSource):
        await surely(blocking, source.close)
    elif isinstance(source, Archive):
        await source.pieces.aclose()
        await _closed(source.file, blocking)
    elif isinstance(source, AsyncGenerator):
        await source.aclose()
