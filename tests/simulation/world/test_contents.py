"""The bytes of blocks, each once in a world; what was generated is made again."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterator

import pytest

from dhtstore.errors import BlockDamaged
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from simulations.events.workload import ObjectContent
from simulations.world.ports.contents import PIECE_BYTES, Content, Contents
from simulations.world.ports.disks import SimDisk

OBJECTS = 16


def put(disk: SimDisk, data: bytes, *, named: bytes | None = None) -> Cid:
    """Store it under its own name or, as only a defect would, under that of other bytes."""
    cid = Cid.of(data if named is None else named)
    with disk.blocks.batch() as batch:
        batch.put(cid, memoryview(bytearray(data)))
        batch.commit()
    return cid


@pytest.fixture
def contents() -> Contents:
    return Contents()


@pytest.fixture
def disks(contents: Contents) -> list[SimDisk]:
    return [SimDisk(0, contents.keep) for _ in range(3)]


@pytest.mark.parametrize(
    ("offset", "size"), [(0, MIB), (MIB // 2, MIB), (3 * MIB, 5), (3 * MIB - 100_000, 100_005)]
)
def test_a_block_of_an_object_is_made_again_equal(
    contents: Contents, disks: list[SimDisk], offset: int, size: int
) -> None:
    content = ObjectContent(1, 2, 3 * PIECE_BYTES + 5)
    pieces = [contents.piece(content, number) for number in range(content.pieces)]
    data = b"".join(pieces)[offset : offset + size]
    cid = put(disks[0], data)
    for number in range(100):  # so that no piece of it is at hand any more
        contents.piece(ObjectContent(1, 10 + number, 1), 0)
    assert disks[0].blocks.get(cid) == data
    assert disks[0].blocks.sizes([cid]) == [size]


def test_what_was_not_generated_is_kept(disks: list[SimDisk]) -> None:
    data = random.Random(1).randbytes(MIB)
    cid = put(disks[0], data)
    put(disks[1], data)
    assert [disk.blocks.get(cid) for disk in disks[:2]] == [data, data]


def generated(contents: Contents, size_bytes: int) -> Iterator[bytes]:
    for number in range(OBJECTS):
        content = ObjectContent(1, number, size_bytes)
        for piece in range(content.pieces):
            yield contents.piece(content, piece)


@pytest.mark.parametrize("size_bytes", [64 * KIB, 2 * MIB])
def test_memory_does_not_grow_with_the_size_of_objects(size_bytes: int) -> None:
    contents = Contents(at_hand=4)
    disks = [SimDisk(0, contents.keep) for _ in range(3)]
    gc.collect()
    tracemalloc.start()
    try:
        for block in generated(contents, size_bytes):
            for disk in disks:
                put(disk, block)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(disk.blocks.used_bytes for disk in disks) > 3 * OBJECTS * size_bytes
    assert taken < 4 * min(size_bytes, PIECE_BYTES) + 400 * KIB


def test_damage_touches_one_copy(disks: list[SimDisk]) -> None:
    data = random.Random(1).randbytes(MIB)
    cid, *_ = [put(disk, data) for disk in disks]
    disks[0].blocks.rot(cid, 77)
    disks[1].blocks.lying = True
    with pytest.raises(BlockDamaged):
        disks[0].blocks.get(cid)
    assert disks[1].blocks.read(cid) != data
    assert disks[2].blocks.read(cid) == data
    assert [disk.blocks.whole(cid) for disk in disks] == [False, True, True]
    disks[2].blocks.delete([cid])
    assert [disk.blocks.whole(cid) for disk in disks] == [False, True, False]


@pytest.mark.parametrize("first", [True, False], ids=["wrong first", "right first"])
def test_a_wrong_copy_stays_one(disks: list[SimDisk], *, first: bool) -> None:
    right, wrong = bytes(9000), bytes(8999) + b"\1"
    cid = Cid.of(right)
    for disk in disks if first else reversed(disks):
        put(disk, wrong if disk is disks[0] else right, named=right)
    assert disks[0].blocks.read(cid) == wrong
    assert [disk.blocks.whole(cid) for disk in disks] == [False, True, True]
    assert disks[1].blocks.get(cid) == right


def test_blocks_that_no_disk_has_are_forgotten(contents: Contents) -> None:
    data = bytes(9000)
    kept = contents.keep(Cid.of(data).multihash, data)
    assert contents.keep(Cid.of(data).multihash, data) is kept
    assert isinstance(kept, Content)
    del kept
    gc.collect()
    assert len(contents) == 0
