"""What store/contract.py says of the room of a BlockStore, held against every implementation."""

from __future__ import annotations

import pytest

from dhtstore.errors import BlockMissing, NoRoom, SourceChanged
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from tests.books import booked
from tests.conformance.block_stores import Open, block, put


def test_the_quota_is_hard(open_store: Open) -> None:
    store = open_store(MIB)
    with store.batch() as batch:
        batch.put(*block(1, 600 * KIB))
        with pytest.raises(NoRoom):
            batch.put(*block(2, 600 * KIB))
        batch.put(*block(3, 100 * KIB))
        batch.commit()
    assert store.capacity_bytes == MIB
    assert store.count() == 2
    assert store.used_bytes <= MIB
    with pytest.raises(NoRoom):
        store.reserve(400 * KIB)


def test_a_discarded_batch_gives_its_room_back(open_store: Open) -> None:
    store = open_store(MIB)
    for number in range(5):
        with store.batch() as batch:
            batch.put(*block(number, 700 * KIB))
    put(store, block(9, 700 * KIB))


def test_a_reservation_counts_until_it_is_used_or_released(open_store: Open) -> None:
    store = open_store(MIB)
    empty = booked(store)
    reservation = store.reserve(600 * KIB)
    assert reservation.size_bytes == 600 * KIB
    assert booked(store) == empty + 600 * KIB
    with store.batch() as other, pytest.raises(NoRoom):
        other.put(*block(1, 500 * KIB))
    with store.batch(reservation) as batch:
        batch.put(*block(2, 400 * KIB))
        assert booked(store) == empty + 600 * KIB
        batch.commit()
    reservation.release()
    assert 400 * KIB <= booked(store) - empty < 401 * KIB
    reservation.release()
    assert 400 * KIB <= booked(store) - empty < 401 * KIB


def test_a_batch_never_outgrows_its_reservation(open_store: Open) -> None:
    """Not by a byte, and not at the cost of what nobody reserved."""
    store = open_store(MIB)
    empty, reservation = booked(store), store.reserve(300 * KIB)
    with store.batch(reservation) as batch:
        batch.put(*block(1, 200 * KIB))
        with pytest.raises(NoRoom, match="more than the 307200 bytes set aside"):
            batch.put(*block(2, 100 * KIB + 1))
        assert booked(store) == empty + 300 * KIB
        batch.put(*block(3, 90 * KIB))
        batch.commit()
    assert sorted(store.cids()) == sorted(block(n, s * KIB)[0] for n, s in ((1, 200), (3, 90)))
    reservation.release()
    with store.batch(reservation) as batch, pytest.raises(NoRoom):
        batch.put(*block(4, 1))


def test_who_has_set_aside_what_it_needs_at_least_takes_more_as_others_do(open_store: Open) -> None:
    store = open_store(MIB + 400 * KIB)  # the store on disk sets some aside for its index
    empty, reservation = booked(store), store.reserve(300 * KIB, at_least=True)
    with store.batch(reservation) as batch:
        batch.put(*block(1, 200 * KIB))
        batch.put(*block(2, 200 * KIB))  # of it half is beyond
        assert 400 * KIB < booked(store) - empty < 401 * KIB
        other = store.reserve(store.space().free_bytes or 0)
        with pytest.raises(NoRoom, match="are used"):
            batch.put(*block(3, 200 * KIB))
        other.release()
        batch.put(*block(3, 200 * KIB))
        batch.commit()
    reservation.release()
    assert 600 * KIB < booked(store) - empty < 601 * KIB
    assert store.count() == 3


def test_what_a_batch_discards_beyond_its_reservation_is_given_back(open_store: Open) -> None:
    store = open_store(MIB)
    empty, reservation = booked(store), store.reserve(100 * KIB, at_least=True)
    with store.batch(reservation) as batch:
        batch.put(*block(1, 300 * KIB))
    reservation.release()
    assert booked(store) == empty
    assert store.space().reserved_bytes == 0


def test_the_space_there_is(open_store: Open) -> None:
    store = open_store(MIB)
    store.reserve(100 * KIB)
    put(store, block(1, 200 * KIB))
    space = store.space()
    assert (space.capacity_bytes, space.used_bytes) == (MIB, store.used_bytes)
    assert (space.reserved_bytes, space.beside_bytes, space.closed) == (100 * KIB, 0, "")
    assert MIB - store.used_bytes >= (space.free_bytes or 0) > 300 * KIB
    store.reserve(space.free_bytes or 0)
    with pytest.raises(NoRoom):
        store.reserve(KIB)
    assert 200 * KIB < space.packs_bytes < 201 * KIB
    assert open_store(None).space().capacity_bytes is None


def test_blocks_that_are_lent_are_verified_and_take_no_room(open_store: Open) -> None:
    store, source = open_store(MIB), bytearray(block(1, 3 * MIB)[1])
    leaf, kept = bytes(source[MIB : 2 * MIB]), block(2, 5000)
    cid, empty = Cid.of(leaf), booked(store)
    lent = store.lent()
    try:
        lent.reads_from(lambda path, start, count: bytes(source[start : start + count]))
        lent.lend(cid, ("a", "b"), MIB, MIB)
        lent.batch().put(*kept)
        assert lent.sizes([cid, kept[0], block(3)[0]]) == [MIB, 5000, None]
        assert (lent.get(cid), lent.get(kept[0])) == (leaf, kept[1])
        assert (store.has(cid), booked(store)) == (False, empty)
        with pytest.raises(BlockMissing):
            lent.get(block(3)[0])
        assert lent.changed is None
        source[MIB] ^= 1
        with pytest.raises(SourceChanged, match="a/b changed while it was put"):
            lent.get(cid)
        assert isinstance(lent.changed, SourceChanged)
    finally:
        lent.close()
        lent.close()
    with pytest.raises(BlockMissing):
        lent.get(kept[0])


def test_a_reservation_of_what_a_block_takes_is_enough(open_store: Open) -> None:
    store = open_store(MIB)
    blocks = [block(number, size) for number, size in enumerate((0, 1, 5000, 100_000))]
    room = store.reserve(sum(stored_bytes(cid, len(data)) for cid, data in blocks))
    with store.batch(room, whole=True) as batch:
        for cid, data in blocks:
            batch.put(cid, data)
        batch.commit()
    assert store.count() == 4


# --- whole batches ---------------------------------------------------------------------------
