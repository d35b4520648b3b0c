"""Opening the disk store after whatever ended its last use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable
from dhtstore.store.blocks.index import Index, PackState
from dhtstore.store.blocks.index_database import DAMAGED, IndexUnusable
from dhtstore.store.blocks.packs import cut_file, pack_name, scan
from dhtstore.store.blocks.staged_table import Row
from dhtstore.store.disk import sync_directory
from dhtstore.store.ours import check_file

INDEX: Final = "index.sqlite"
_UNSEEN: Final = PackState(0, 0)


def open_index(directory: Path) -> tuple[Index, dict[int, int]]:
    """The index, in agreement with the packs, and the length of each pack.

    A missing or damaged index is built anew.  Raises OSError, NoRoom, HomeUnusable.
    """
    index = _open_or_rebuild(directory)
    try:
        return index, bring_to_agreement(index, directory)
    except BaseException:
        index.close()
        raise


def open_index_to_read(directory: Path) -> tuple[Index, dict[int, int]]:
    """The same where the disk takes no writes: what is not indexed yet is not seen."""
    try:
        index = Index(directory / INDEX, to_read=True)
    except IndexUnusable as error:
        raise HomeUnusable(f"the index of the block store is to be rebuilt: {error}") from error
    known, lengths = index.packs(), _pack_lengths(directory)
    return index, {number: end for number, end in lengths.items() if number in known}


def bring_to_agreement(index: Index, directory: Path) -> dict[int, int]:
    """What was written and not indexed when a crash came is cut off: nobody was told of it.  Rows
    whose bytes are gone are dropped.  Returns the length of each pack.

    Where the index does not know all there is, what lies in the packs is verified and indexed.
    """
    index.staged.finish()
    ends = _pack_lengths(directory)
    for number, (known, _) in index.packs().items():
        if number not in ends:
            index.drop(number)
        elif ends[number] < known:
            index.cut(number, ends[number])
    states = index.packs()
    for number in sorted(ends):
        known, path = states.get(number, _UNSEEN).known, directory / pack_name(number)
        if not index.complete:
            ends[number] = _adopt_tail(index, path, number, known)
        elif number not in states:
            path.unlink()
            del ends[number]
        elif ends[number] > known:
            cut_file(path, known)
            ends[number] = known
    if not index.complete:
        index.set_complete()
    _remove_empty(index, directory, ends)
    index.shrink()
    return ends


def _open_or_rebuild(directory: Path) -> Index:
    path = directory / INDEX
    try:
        return Index(path)
    except IndexUnusable:
        for suffix in ("", "-wal", "-shm", DAMAGED):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        sync_directory(directory)
        return Index(path)


def _pack_lengths(directory: Path) -> dict[int, int]:
    """By number, in order: what is made of them is the same on every file system.  Raises
    HomeUnusable for what is called like a pack and may be somebody else's."""
    lengths = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            stem = entry.name.removesuffix(".pack")
            if stem.isdigit() and stem != entry.name:
                status = entry.stat(follow_symlinks=False)
                check_file(Path(entry.path), status)
                lengths[int(stem)] = status.st_size
    return dict(sorted(lengths.items()))


def others_bytes(directory: Path) -> int:
    """Of files that are neither packs nor the index: the mark of the directory.  0 where it can't
    be looked up."""
    with suppress(OSError), os.scandir(directory) as entries:
        return sum(
            entry.stat(follow_symlinks=False).st_size
            for entry in entries
            if not entry.name.endswith(".pack") and not entry.name.startswith(INDEX)
        )
    return 0


def _adopt_tail(index: Index, path: Path, number: int, known: int) -> int:
    """Index the whole blocks beyond ``known`` and cut what follows the last; the new length."""
    rows = [
        Row(record.cid.multihash, number, record.offset, record.length, record.cid.codec)
        for record in scan(path, known)
    ]
    end = rows[-1].offset + rows[-1].length if rows else known
    cut_file(path, end)
    index.add(rows, {number: end})
    return end


def _remove_empty(index: Index, directory: Path, ends: dict[int, int]) -> None:
    for number, (_, live) in index.packs().items():
        if live == 0:
            (directory / pack_name(number)).unlink()
            index.forget_pack(number)
            del ends[number]
