"""A receive of blocks however small is not refused at its end, if its offer said how many come."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import KIB
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.blocks.packs import header

MADE_BYTES = 64


def made(count: int, size_bytes: int, seed: int) -> list[tuple[Cid, bytes]]:
    rng = random.Random(seed)
    some = (rng.randbytes(size_bytes) for _ in range(count))
    return [(Cid.of(each), each) for each in some]


def fill(store: BlockStore) -> None:
    """As full as others can make it."""
    rng = random.Random(5)
    for size_bytes in (64 * KIB, 4 * KIB, 256):
        try:
            while True:
                data = rng.randbytes(size_bytes)
                with store.batch() as batch:
                    batch.put(Cid.of(data), data)
                    batch.commit()
        except NoRoom:
            continue


@pytest.mark.parametrize("count", [1, 100, 3000, 9000])
def test_what_is_set_aside_for_so_many_blocks_is_enough_for_them(
    tmp_path: Path, count: int
) -> None:
    store = DiskBlockStore(tmp_path, 24_000_000)
    some = made(count, MADE_BYTES, 1)
    size_bytes = sum(len(header(cid, len(data))) + len(data) for cid, data in some)
    room = store.reserve(size_bytes + ROW_BYTES * count + 64 * KIB, blocks=count)
    fill(store)
    with store.batch(room, whole=True) as batch:
        for cid, data in some:
            batch.put(cid, data)
        batch.commit()
    room.release()
    while store.settle():
        pass
    assert store.missing([cid for cid, _ in some]) == []
    assert store.used_bytes <= 24_000_000
    store.close()


def test_what_there_is_no_room_for_in_the_index_is_refused_when_it_is_reserved(
    tmp_path: Path,
) -> None:
    store = DiskBlockStore(tmp_path, 2_000_000)
    store.reserve(500_000, blocks=10).release()
    with pytest.raises(NoRoom):
        store.reserve(500_000, blocks=3000)
    store.close()
