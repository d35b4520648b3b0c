"""The faults that FaultyBlockStore can be asked for."""

from __future__ import annotations

import pytest

from dhtstore.errors import BlockDamaged, HomeUnusable, NoRoom
from dhtstore.model.cid import Cid
from dhtstore.params import STORED_BLOCK_BYTES
from dhtstore.store.blocks.faulty import FaultyBlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore

DATA = [bytes((n,)) * 1000 for n in range(4)]
CIDS = [Cid.of(data) for data in DATA]


@pytest.fixture
def store() -> FaultyBlockStore:
    return FaultyBlockStore(MemoryBlockStore())


def put(store: FaultyBlockStore, *numbers: int) -> None:
    with store.batch() as batch:
        for number in numbers:
            batch.put(CIDS[number], DATA[number])
        batch.commit()


def test_the_disk_fills_at_the_given_byte(store: FaultyBlockStore) -> None:
    put(store, 0)
    store.fill_disk(after_bytes=1500)
    put(store, 0, 1)
    with pytest.raises(NoRoom):
        put(store, 2)
    with pytest.raises(NoRoom):
        store.reserve(1000)
    assert [store.has(cid) for cid in CIDS] == [True, True, False, False]
    store.free_disk()
    put(store, 2)
    assert store.has(CIDS[2])


def test_rot_is_one_bit_of_the_chosen_block(store: FaultyBlockStore) -> None:
    put(store, 0, 1)
    store.rot(CIDS[0])
    rotten = int.from_bytes(store.read(CIDS[0]), "big") ^ int.from_bytes(DATA[0], "big")
    assert rotten.bit_count() == 1
    with pytest.raises(BlockDamaged):
        store.get(CIDS[0])
    assert store.get(CIDS[1]) == DATA[1]
    store.delete([CIDS[0]])
    put(store, 0)
    assert store.get(CIDS[0]) == DATA[0]


def test_a_crash_loses_what_was_not_committed(store: FaultyBlockStore) -> None:
    with store.batch() as batch:
        batch.put(CIDS[0], DATA[0])
        batch.commit()
        batch.put(CIDS[1], DATA[1])
        store.crash()
        with pytest.raises(HomeUnusable):
            batch.put(CIDS[2], DATA[2])
        with pytest.raises(HomeUnusable):
            batch.commit()
    assert list(store.cids()) == [CIDS[0]]
    assert store.used_bytes == 1000 + STORED_BLOCK_BYTES
