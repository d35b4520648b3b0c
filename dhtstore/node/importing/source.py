"""From a source to blocks in the store: the first half of a put."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.content.builders.importer import Profile
from dhtstore.node.context import Disk
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.file import ByteStream, import_file, import_stream
from dhtstore.node.importing.tree import TreeImport
from dhtstore.store.files.source import FileSource, TreeSource

Source = FileSource | TreeSource | ByteStream


async def import_source(
    disk: Disk,
    source: Source,
    profile: Profile,
    progress: Callable[[int], None],
    committed: Callable[[int], None] = lambda done_bytes: None,
) -> Imported:
    """Import everything and commit it; blocks that were stored before are then whole too.

    ``progress`` gets the content bytes done so far, ``committed`` those that stay in any case.
    Raises SourceChanged, UnreadableSource, NoRoom.  On failure nothing staged since the last
    commit group stays; what was committed is picked up when the put is repeated.
    """
    async with disk.batch() as batch:
        imported = await _import(ImportBatch(disk, profile, batch, progress, committed), source)
        await disk.blocking.run(batch.commit)
    return imported


async def _import(batch: ImportBatch, source: Source) -> Imported:
    if isinstance(source, TreeSource):
        return await TreeImport(batch, source).run()
    if isinstance(source, FileSource):
        return await import_file(batch, source)
    return await import_stream(batch, source)
