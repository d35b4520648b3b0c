"""From a source to blocks in the store: the first half of a put."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.content.builders.importer import Profile
from dhtstore.node.context import Disk
from dhtstore.node.importing.batch import ImportBatch, Imported, Staged
from dhtstore.node.importing.file import ByteStream, import_file, import_stream
from dhtstore.node.importing.tree import TreeImport
from dhtstore.store.blocks.contract import Reservation
from dhtstore.store.files.source import FileSource, TreeSource

Source = FileSource | TreeSource | ByteStream


async def import_source(
    disk: Disk,
    source: Source,
    profile: Profile,
    progress: Callable[[int], None],
    *,
    room: Reservation | None = None,
    staged: Staged | None = None,
) -> Imported:
    """Import everything and commit it; blocks that were stored before are then whole too.

    ``progress`` gets the content bytes done so far, ``staged`` what was written, out of ``room`` if
    there is one.  Raises SourceChanged, UnreadableSource, NoRoom.  On failure nothing staged since
    the last commit group stays; what was committed, ``staged`` tells.
    """
    async with disk.batch(room) as batch:
        work = ImportBatch(disk, profile, batch, progress, staged or Staged())
        imported = await import_into(work, source)
        await disk.blocking.run(batch.commit)
    return imported


async def import_into(batch: ImportBatch, source: Source) -> Imported:
    """The same into a batch that somebody else commits."""
    if isinstance(source, TreeSource):
        return await TreeImport(batch, source).run()
    if isinstance(source, FileSource):
        return await import_file(batch, source)
    return await import_stream(batch, source)
