"""Small files and links of a tree, read one after the other and stored together: what is stored
already is looked for once, and room taken once, for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.content.builders.directory import symlink_block
from dhtstore.content.codec.unixfs import Metadata
from dhtstore.content.dag.tree_walk import may_lead_out, reads_as_within
from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.model.block import Block
from dhtstore.model.names import bytes_of, quoted
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.params import LINK_TARGET_MAX_BYTES, MIB
from dhtstore.store.files.sources.file import refusal
from dhtstore.store.files.sources.tree import Neighbours, SourceEntry, TreeSource

PUT_AT_ONCE_BYTES: Final = 1 * MIB  # in memory until then, of each of the groups at work

Path = tuple[str, ...]


Unreadable = UnreadableSource | SourceChanged  # why a file or directory has to be skipped


def import_group(
    batch: ImportBatch, source: TreeSource, entries: Sequence[SourceEntry]
) -> dict[Path, Imported | Unreadable]:
    """Of those that are as small as they looked.  In a worker.  Raises NoRoom, HomeUnusable."""
    made: dict[Path, Imported | Unreadable] = {}
    due, due_bytes = list[Block](), 0
    with source.neighbours() as near:
        for entry in entries:
            try:
                imported, blocks = _read(batch, source, near, entry)
            except (UnreadableSource, SourceChanged) as error:
                made[entry.path] = error
                continue
            if imported is not None:
                made[entry.path] = imported
                due += blocks
                due_bytes += imported.size_bytes
            if due_bytes >= PUT_AT_ONCE_BYTES:
                batch.put_all(due)
                due, due_bytes = [], 0
    batch.put_all(due)
    return made


def _read(
    batch: ImportBatch, source: TreeSource, near: Neighbours, entry: SourceEntry
) -> tuple[Imported | None, Sequence[Block]]:
    """With the blocks to put; None for a file that turns out to be larger than one leaf."""
    if entry.kind == "symlink":
        metadata = entry.metadata if batch.manner.preserve else None
        label = source.label(entry.path)
        imported, block = link_of(batch, entry.path, entry.target, metadata, label)
        return imported, (block,)
    file = source.open(entry.path, near)
    try:
        data = file.read_whole(batch.profile.one_leaf_bytes)
    finally:
        file.close()
    if data is None:
        return None, ()
    return batch.small(data, entry.path, file.metadata if batch.manner.preserve else None)


def link_of(
    batch: ImportBatch, path: Path, target: str, metadata: Metadata | None, label: str
) -> tuple[Imported, Block]:
    """With its block, to be put.  Raises UnreadableSource for one that leads out of its tree, or
    that no file system has."""
    raw = bytes_of(target)
    if not raw or b"\0" in raw or len(raw) > LINK_TARGET_MAX_BYTES:
        why = "is a symbolic link to what none can lead to: nobody could get it back"
        raise refusal(label, why)
    if may_lead_out(path, target):
        raise refusal(
            label, f"is a symbolic link to {quoted(target)}, which {_why_not(path, target)}"
        )
    block = symlink_block(target, batch.profile, metadata)
    return Imported(block.cid, 0, len(block.data)), block


def _why_not(path: Path, target: str) -> str:
    if reads_as_within(path, target):
        return "goes through '..' behind a name, which a get does not follow: write it as ../NAME"
    return "leads out: nobody could get it back"
