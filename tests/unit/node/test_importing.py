"""Importing by values: what is in the store afterwards, and what was told on the way."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.local import Leaves, local_blocks
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.walk import Output
from dhtstore.errors import NoRoom, UnreadableSource
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk
from dhtstore.node.importing.batch import (
    COMMIT_GROUP_BYTES,
    COUNTED_MIN_BYTES,
    ImportBatch,
    Imported,
)
from dhtstore.node.importing.file import chunks_of
from dhtstore.node.importing.source import Source, import_source
from dhtstore.params import (
    CHUNK_SIZE_BYTES,
    LINKS_PER_NODE_MAX,
    MIB,
    STORED_BLOCK_BYTES,
    TREE_LEVELS_MAX,
)
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking

CONTENT = random.Random(9).randbytes(2 * CHUNK_SIZE_BYTES + 7)


def import_all(
    source: Source,
    store: MemoryBlockStore | FaultyBlockStore,
    progress: Callable[[int], None] = lambda done_bytes: None,
) -> Imported:
    disk = Disk(store, InlineBlocking())
    return run(import_source(disk, source, UNIXFS_V1_2025, progress), VirtualLoop())


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def file_source(path: Path, data: bytes) -> FileSource:
    path.write_bytes(data)
    return FileSource(os.open(path, os.O_RDONLY), path.name)


def test_a_file_and_a_stream_of_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    source, store = file_source(tmp_path / "file", CONTENT), MemoryBlockStore()
    try:
        of_file = import_all(source, store)
    finally:
        source.close()
    of_stream = import_all(stream(CONTENT[:5], CONTENT[5:]), MemoryBlockStore())
    assert of_file == of_stream
    assert of_file.size_bytes == len(CONTENT)
    blocks = list(local_blocks(store, of_file.cid, Leaves.READ))
    assert len(blocks) == store.count() == 4
    assert of_file.tsize_bytes == store.used_bytes - 4 * STORED_BLOCK_BYTES


def test_progress_counts_content_bytes() -> None:
    told: list[int] = []
    import_all(stream(CONTENT), MemoryBlockStore(), told.append)
    assert told == [CHUNK_SIZE_BYTES, 2 * CHUNK_SIZE_BYTES, len(CONTENT)]


def test_a_tree_is_its_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "small").write_bytes(b"small")
    (tmp_path / "tree" / "large").write_bytes(CONTENT)
    source = TreeSource(os.open(tmp_path / "tree", os.O_RDONLY), "tree")
    store, told = MemoryBlockStore(), list[int]()
    try:
        imported = import_all(source, store, told.append)
    finally:
        source.close()
    assert imported.size_bytes == told[-1] == len(CONTENT) + len(b"small")
    assert store.has(Cid.of(b"small"))
    assert len(list(local_blocks(store, imported.cid, Leaves.READ))) == store.count()


def import_path(path: Path, progress: Callable[[int], None] = lambda done_bytes: None) -> Imported:
    fd = os.open(path, os.O_RDONLY)
    source = TreeSource(fd, path.name) if path.is_dir() else FileSource(fd, path.name)
    try:
        return import_all(source, MemoryBlockStore(), progress)
    finally:
        source.close()


def test_a_file_that_changed_once_is_read_again(tmp_path: Path) -> None:
    path, told = tmp_path / "file", list[int]()
    path.write_bytes(CONTENT)

    def change_once(done_bytes: int) -> None:
        told.append(done_bytes)
        if len(told) == 1:
            path.write_bytes(CONTENT[::-1] + b"more")

    imported = import_path(path, change_once)
    assert imported == import_path(path)
    assert told[-1] == imported.size_bytes == len(CONTENT) + 4


def test_small_files_are_stored_as_they_are_when_they_are_read(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number:03}").write_bytes(b"some bytes")

    def change_once(done_bytes: int) -> None:
        if (tmp_path / "490").stat().st_size > 3:
            os.truncate(tmp_path / "490", 3)
            os.truncate(tmp_path / "491", 3 * MIB)
            (tmp_path / "492").write_bytes(b"more than before")

    assert import_path(tmp_path, change_once) == import_path(tmp_path)


KALLSYMS = Path("/proc/kallsyms")  # megabytes
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")  # a line; "one page"


def test_files_whose_size_is_not_told_are_read_to_their_end() -> None:
    path = Path("/proc/version")
    assert path.stat().st_size == 0
    assert import_path(path).cid == Cid.of(path.read_bytes())


@pytest.mark.skipif(not KALLSYMS.exists(), reason="this kernel tells no symbols")
def test_large_files_whose_size_is_not_told_are_read_to_their_end() -> None:
    assert KALLSYMS.stat().st_size == 0
    content = KALLSYMS.read_bytes()
    assert len(content) > CHUNK_SIZE_BYTES
    assert import_path(KALLSYMS) == import_all(stream(content), MemoryBlockStore())


@pytest.mark.skipif(not HUGE_PAGES.exists(), reason="this kernel has no huge pages")
def test_files_that_are_shorter_than_they_say_are_read_to_their_end() -> None:
    content = HUGE_PAGES.read_bytes()
    assert HUGE_PAGES.stat().st_size > len(content)
    assert import_path(HUGE_PAGES).cid == Cid.of(content)


def large_directory(path: Path) -> None:
    """Two levels of shards below the block of the directory itself."""
    for number in range(1500):
        (path / f"{number:04}{'n' * 200}").touch()


def large_file(path: Path) -> None:
    """Three levels of blocks."""
    (path / "large").touch()
    os.truncate(path / "large", (LINKS_PER_NODE_MAX + 1) * CHUNK_SIZE_BYTES)


def import_deep(make: Callable[[Path], None], levels: int, path: Path) -> list[Output]:
    """Import what is made in the innermost of so many directories, and walk it as a get does."""
    place = path.joinpath(*["d"] * (levels - 1))
    place.mkdir(parents=True, exist_ok=True)
    make(place)
    store, source = MemoryBlockStore(), TreeSource(os.open(path, os.O_RDONLY), "tree")
    try:
        walk, outputs = TreeWalk(import_all(source, store).cid), list[Output]()
    finally:
        source.close()
    while not walk.done:
        for want in walk.next(64):
            outputs += walk.accept(want, read_node(want.cid, store.get(want.cid)))
    return outputs


@pytest.mark.parametrize("make", [large_directory, large_file])
def test_what_was_put_however_deep_can_be_got_back(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    assert len(import_deep(make, TREE_LEVELS_MAX - 1, tmp_path)) > TREE_LEVELS_MAX - 1


@pytest.mark.parametrize(("make", "name"), [(large_directory, "d"), (large_file, "large")])
def test_what_could_not_be_got_back_from_so_deep_is_refused(
    make: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableSource, match=f"/d/{name} is too large to lie so deep"):
        import_deep(make, TREE_LEVELS_MAX, tmp_path)


def test_a_link_that_leads_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("../secret")
    source = TreeSource(os.open(tmp_path / "tree", os.O_RDONLY), "tree")
    try:
        with pytest.raises(UnreadableSource, match="leads out"):
            import_all(source, MemoryBlockStore())
    finally:
        source.close()


def test_a_block_that_rotted_is_written_anew() -> None:
    store = FaultyBlockStore(MemoryBlockStore())
    import_all(stream(b"content"), store)
    store.rot(Cid.of(b"content"))
    import_all(stream(b"content"), store)
    assert store.get(Cid.of(b"content")) == b"content"


def test_without_room_nothing_stays() -> None:
    store = MemoryBlockStore(MIB)
    with pytest.raises(NoRoom):
        import_all(stream(CONTENT), store)
    assert store.count() == 0


def test_what_fills_a_group_is_committed_before_the_rest_comes() -> None:
    """Whatever it is: directories have no content, and many of them are many rows all the same."""
    store, block = MemoryBlockStore(), Block.of(b"early")
    most = COMMIT_GROUP_BYTES // COUNTED_MIN_BYTES

    async def main() -> None:
        with store.batch() as blocks:
            batch = ImportBatch(
                Disk(store, InlineBlocking()), UNIXFS_V1_2025, blocks, lambda done_bytes: None
            )
            await batch.stage([block] * (most - 1))
            await batch.advance(0)
            assert not store.has(block.cid)
            await batch.stage([block])
            assert store.has(block.cid)
            assert batch.written_bytes == batch.committed_bytes

    run(main(), VirtualLoop())


@pytest.mark.parametrize(
    ("pieces", "chunks"),
    [
        ([], [b""]),
        ([b""], [b""]),
        ([b"a", b"bcd", b"ef"], [b"abc", b"def"]),
        ([b"abcdefg"], [b"abc", b"def", b"g"]),
    ],
)
def test_streams_are_cut_into_whole_chunks(pieces: list[bytes], chunks: list[bytes]) -> None:
    async def main() -> list[bytes]:
        return [chunk async for chunk in chunks_of(stream(*pieces), 3)]

    assert run(main(), VirtualLoop()) == chunks
