"""What is cut by content is the same blocks wherever it was read from."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dhtstore.content.builders.importer import UNIXFS_BUZHASH, UNIXFS_V1_2025, FileBuilder
from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.archive import Archive
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.manner import Manner
from dhtstore.node.importing.source import Source, import_into, import_source
from dhtstore.params import BUZHASH_MAX_BYTES, BUZHASH_MIN_BYTES, KIB, MIB, STORED_BLOCK_BYTES
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.files.sources.excluding import NOTHING
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking

SIZES = [0, 5, BUZHASH_MIN_BYTES, BUZHASH_MIN_BYTES + 1, 300 * KIB, BUZHASH_MAX_BYTES, 9 * MIB + 3]


def content_of(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def imported(
    source: Source, store: MemoryBlockStore | None = None, *, preserve: bool = False
) -> Imported:
    disk = Disk(store or MemoryBlockStore(), InlineBlocking())
    manner = Manner(preserve=preserve)
    work = import_source(disk, source, UNIXFS_BUZHASH, lambda done_bytes: None, manner=manner)
    return run(work, VirtualLoop())


async def stream(data: bytes, piece_bytes: int) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(data), piece_bytes):
        yield data[at : at + piece_bytes]


def expected(data: bytes) -> Cid:
    builder = FileBuilder(UNIXFS_BUZHASH)
    for chunk in UNIXFS_BUZHASH.chunks(data, ended=True):
        builder.add_leaf(Cid.of(chunk), len(chunk))
    return builder.finish().cid


def archive_of(path: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as out:
        for each in sorted(path.iterdir()):
            out.add(each, each.name)
    return packed.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    place.mkdir()
    for size_bytes in SIZES:
        (place / str(size_bytes)).write_bytes(content_of(size_bytes))
    return place


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_file_and_a_stream_are_cut_alike(tree: Path, size_bytes: int) -> None:
    data, store = content_of(size_bytes), MemoryBlockStore()
    source = FileSource(os.open(tree / str(size_bytes), os.O_RDONLY))
    of_file = imported(source, store)
    source.close()
    assert of_file.cid == expected(data)
    for piece_bytes in (100_000, 7 * MIB):
        assert imported(stream(data, piece_bytes)) == of_file
    blocks = set(local_blocks(store, of_file.cid, Leaves.READ))
    assert of_file.tsize_bytes == store.used_bytes - len(blocks) * STORED_BLOCK_BYTES


@pytest.mark.parametrize("preserve", [False, True])
def test_a_directory_and_an_archive_of_it_are_cut_alike(tree: Path, preserve: bool) -> None:
    for path in (*tree.iterdir(), tree):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    source = TreeSource(os.open(tree, os.O_RDONLY), "tree")
    of_tree = imported(source, preserve=preserve)
    source.close()
    of_tar = imported(Archive(stream(archive_of(tree), 300_000), "tar", NOTHING), preserve=preserve)
    assert of_tar.size_bytes == of_tree.size_bytes == sum(SIZES)
    if not preserve:  # an archive of entries tells nothing of the directory that they were in
        assert of_tar == of_tree


def test_what_is_lent_is_found_where_it_stands(tree: Path) -> None:
    data, store = content_of(SIZES[-1]), MemoryBlockStore()
    source = FileSource(os.open(tree / str(SIZES[-1]), os.O_RDONLY))
    lent = store.lent()
    lent.reads_from(source.read_at)
    batch = ImportBatch(
        Disk(store, InlineBlocking()), UNIXFS_BUZHASH, lent.batch(), lambda done: None, lent=lent
    )
    run(import_into(batch, source), VirtualLoop())
    for chunk in UNIXFS_BUZHASH.chunks(data, ended=True):
        assert lent.get(Cid.of(chunk)) == chunk
    source.close()
    lent.close()


def test_other_cuts_are_another_cid() -> None:
    data = content_of(SIZES[-1])
    disk = Disk(MemoryBlockStore(), InlineBlocking())
    fixed = import_source(disk, stream(data, MIB), UNIXFS_V1_2025, lambda done_bytes: None)
    assert run(fixed, VirtualLoop()).cid != imported(stream(data, MIB)).cid
