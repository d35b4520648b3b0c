"""What store/contract.py says of protections, sweeps and compaction, held against every store."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dhtstore.errors import BlockMissing
from dhtstore.model.cid import Cid
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.contract import BlockStore
from tests.conformance.block_stores import Open, block, put

Some = list[tuple[Cid, bytes]]


def made(count: int, size: int = 1000, seed: int = 0) -> Some:
    return [block(seed * 10_000 + number, size) for number in range(count)]


def kept_of(some: Sequence[tuple[Cid, bytes]]) -> Kept:
    kept = Kept()
    for cid, _ in some:
        kept.add(cid.multihash)
    return kept


def swept(store: BlockStore, kept: Kept, *, dry_run: bool = False) -> tuple[int, int, int]:
    """Steps, blocks and bytes of a whole sweep."""
    steps = blocks = size_bytes = 0
    after: bytes | None = b""
    while after is not None:
        after, some, some_bytes = store.sweep(kept, after, dry_run=dry_run)
        steps, blocks, size_bytes = steps + 1, blocks + some, size_bytes + some_bytes
    return steps, blocks, size_bytes


def compacted(store: BlockStore) -> int:
    """Bytes given back by a whole round."""
    compaction = store.compaction()
    try:
        while compaction.look():
            pass
        while compaction.step():
            pass
        assert compaction.damaged == []
    finally:
        compaction.close()
        compaction.close()
    return compaction.freed_bytes


def test_a_sweep_takes_what_is_not_kept_and_says_how_much(store: BlockStore) -> None:
    some = made(20)
    put(store, *some)
    _, blocks, size_bytes = swept(store, kept_of(some[:5]))
    assert (blocks, size_bytes) == (15, 15_000)
    assert sorted(store.cids()) == sorted(cid for cid, _ in some[:5])
    for cid, data in some[:5]:
        assert store.get(cid) == data
    with pytest.raises(BlockMissing):
        store.get(some[5][0])
    assert swept(store, kept_of(some[:5]))[1:] == (0, 0)


def test_a_dry_run_says_the_same_and_takes_nothing(store: BlockStore) -> None:
    some = made(20)
    put(store, *some)
    assert swept(store, kept_of(some[:5]), dry_run=True)[1:] == (15, 15_000)
    assert store.count() == 20


def test_a_sweep_of_many_goes_in_steps_which_meet_all(store: BlockStore) -> None:
    some = made(3000, 10)
    put(store, *some)
    steps, blocks, _ = swept(store, kept_of(some[::3]))
    assert (steps > 1, blocks, store.count()) == (True, 2000, 1000)


def test_what_is_written_or_found_under_a_protection_stays_until_it_is_closed(
    store: BlockStore,
) -> None:
    before, found, new = made(3), made(1, seed=1), made(1, seed=2)
    put(store, *before, *found)
    protection = store.protect()
    put(store, *found, *new)  # the first is stored already
    assert swept(store, Kept())[1] == 3
    assert sorted(store.cids()) == sorted(cid for cid, _ in (*found, *new))
    protection.close()
    protection.close()
    assert swept(store, Kept())[1] == 2
    assert store.count() == 0


def test_one_protection_that_is_closed_ends_no_other(store: BlockStore) -> None:
    some = made(2)
    first, second = store.protect(), store.protect()
    put(store, *some)
    first.close()
    assert swept(store, Kept())[1] == 0
    second.close()
    assert swept(store, Kept())[1] == 2


def test_what_a_whole_batch_relies_on_is_not_swept(store: BlockStore) -> None:
    [found] = made(1)
    put(store, found)
    with store.batch(whole=True) as batch:
        assert not batch.put(*found)
        assert swept(store, Kept())[1] == 0
    assert swept(store, Kept())[1] == 1


def test_what_was_swept_can_be_stored_again(store: BlockStore) -> None:
    some = made(5)
    put(store, *some)
    swept(store, Kept())
    put(store, *some)
    for cid, data in some:
        assert store.get(cid) == data


def test_compaction_gives_room_back_and_keeps_every_block(open_store: Open) -> None:
    store = open_store(16 * MIB)
    some = made(64, 64 * KIB)  # four packs, or what a store makes of it
    put(store, *some)
    swept(store, kept_of(some[::4]))
    compacted(store)
    for cid, data in some[::4]:
        assert store.get(cid) == data
    assert store.count() == 16
    live_bytes = 16 * 64 * KIB
    assert live_bytes <= store.used_bytes <= 2 * live_bytes + MIB
    assert compacted(store) == 0, "nothing is worth another round"
    put(store, *made(16, 64 * KIB, seed=3))
    assert store.count() == 32


def test_a_compaction_that_is_given_up_leaves_all_as_it_was(store: BlockStore) -> None:
    some = made(64, 64 * KIB)
    put(store, *some)
    swept(store, kept_of(some[::4]))
    compaction = store.compaction()
    while compaction.look():
        pass
    compaction.step()
    compaction.close()
    for cid, data in some[::4]:
        assert store.get(cid) == data
