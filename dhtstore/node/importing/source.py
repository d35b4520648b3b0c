"""From a source to blocks in the store: the first half of a put."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.content.builders.importer import Profile
from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.node.context import Disk
from dhtstore.node.importing.archive import Archive, ArchiveImport
from dhtstore.node.importing.batch import Ahead, ImportBatch, Imported
from dhtstore.node.importing.file import ByteStream, import_file, import_stream
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.tree import OpenDirectory, TreeImport, build
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from dhtstore.store.files.sources.wrapped import Wrapped

ReadableAgain = FileSource | TreeSource | Wrapped
Source = ReadableAgain | Archive | ByteStream


async def import_source(
    disk: Disk,
    source: Source,
    profile: Profile,
    progress: Callable[[int], None],
    *,
    room: Reservation | None = None,
    manner: Manner | None = None,
    ahead: Ahead | None = None,
) -> Imported:
    """Import everything and commit it; blocks that were stored before are then whole too.

    ``progress`` gets the content bytes done so far, written out of ``room`` if there is one,
    ``manner`` (strict, where None) what was skipped, ``ahead`` what was written.  Raises
    SourceChanged, UnreadableSource, UsageError (a malformed pattern in a tree), NoRoom.  On failure
    nothing staged since the last commit group stays.
    """
    manner = manner or Manner()
    async with disk.batch(room) as batch:
        work = ImportBatch(disk, profile, batch, progress, manner=manner, ahead=ahead)
        imported = await import_into(work, source)
        await disk.blocking.run(batch.commit)
    return imported


async def import_into(batch: ImportBatch, source: Source) -> Imported:
    """The same into a batch that somebody else commits."""
    batch.manner.begin()
    await batch.begin()
    if isinstance(source, Wrapped):
        return await _import_wrapped(batch, source)
    if isinstance(source, Archive):
        return await ArchiveImport(batch, source).run()
    return await _import(batch, source)


async def _import(batch: ImportBatch, source: FileSource | TreeSource | ByteStream) -> Imported:
    if isinstance(source, TreeSource):
        return await TreeImport(batch, source).run()
    if isinstance(source, FileSource):
        return await import_file(batch, source)
    return await import_stream(batch, source)


async def _import_wrapped(batch: ImportBatch, source: Wrapped) -> Imported:
    """Raises UnreadableSource, SourceChanged if none of them can be stored."""
    directory, failure = OpenDirectory(()), None
    for name, each in source.entries.items():
        batch.manner.above = (name,)
        try:
            directory.add(name, await _import(batch, each))
        except (UnreadableSource, SourceChanged) as error:
            failure = error
            batch.manner.skip((), error)
    batch.manner.above = ()
    if failure is not None and not directory.entries:
        raise failure
    return await build(batch, directory, "the directory around them")
