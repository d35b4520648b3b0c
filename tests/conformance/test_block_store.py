"""What store/contract.py says of a BlockStore, held against every implementation."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator

import pytest

from dhtstore.errors import BlockMissing, LocalProtocolError, NoRoom
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.node.links.buffers import block_buffers
from dhtstore.params import KIB, MIB
from dhtstore.store.blocks.contract import BlockStore
from tests.books import booked
from tests.conformance.block_stores import Open, block, put


def test_a_committed_block_is_there(store: BlockStore) -> None:
    cid, data = block(1)
    put(store, (cid, data))
    assert store.has(cid)
    assert store.sizes([cid, cid]) == [len(data)] * 2
    assert store.get(cid) == store.read(cid) == data
    assert isinstance(store.get(cid), bytes)
    assert store.count() == 1
    assert list(store.cids()) == [cid]


@pytest.mark.parametrize("data", [b"", b"x", bytes(MIB)], ids=len)
def test_a_block_is_read_into_what_is_lent(store: BlockStore, data: bytes) -> None:
    cid = Cid.of(data)
    put(store, (cid, data))
    assert store.read(cid, lambda size_bytes: block_buffers.lend(size_bytes).view) == data


def test_a_block_never_put_is_missing(store: BlockStore) -> None:
    cid, _ = block(1)
    assert not store.has(cid)
    assert store.sizes([cid]) == [None]
    assert store.missing([cid]) == [cid]
    assert list(store.cids()) == []
    for read in (store.get, store.read):
        with pytest.raises(BlockMissing):
            read(cid)


def test_staged_blocks_are_not_readable(store: BlockStore) -> None:
    cid, data = block(1)
    with store.batch() as batch:
        batch.put(cid, data)
        assert not store.has(cid)
        assert store.count() == 0
        with pytest.raises(BlockMissing):
            store.read(cid)


def test_who_has_a_batch_reads_what_it_has_written(store: BlockStore) -> None:
    (first, data), (second, other), (third, _) = block(1), block(2), block(3)
    put(store, (first, data))
    with store.batch(whole=True) as batch:
        batch.put(first, data)
        batch.put(second, other)
        batch.commit()
        for cid in (first, third):
            with pytest.raises(BlockMissing):
                batch.read(cid)  # stored before, and never
    with store.batch(whole=True) as batch:
        large = random.Random(1).randbytes(MIB)
        batch.put(Cid.of(large), large)
        assert batch.read(Cid.of(large)) == large
        assert not store.has(Cid.of(large))
    with pytest.raises(BlockMissing):
        batch.read(Cid.of(large))


def test_leaving_without_commit_discards(store: BlockStore) -> None:
    before = booked(store)
    (first, data), (second, other) = block(1), block(2)
    with store.batch() as batch:
        batch.put(first, data)
        batch.commit()
        batch.put(second, other)
    assert store.has(first)
    assert not store.has(second)
    one = booked(store)
    assert before < one < before + 2 * 1000
    with store.batch() as batch:
        batch.put(second, other)
    assert booked(store) == one


def test_a_batch_that_was_left_is_over(store: BlockStore) -> None:
    put(store, block(1))
    with store.batch() as batch:
        batch.put(*block(2))
    for number in (1, 2, 3):
        with pytest.raises(LocalProtocolError):
            batch.put(*block(number))
    with pytest.raises(LocalProtocolError):
        batch.commit()
    assert store.count() == 1


class _Foreign:
    """Room that no store gave."""

    size_bytes = 1

    def release(self) -> None:
        """There is nothing to give back."""


def test_a_reservation_of_another_store_is_refused(store: BlockStore) -> None:
    with pytest.raises(LocalProtocolError):
        store.batch(_Foreign())


def test_an_error_in_the_batch_discards(store: BlockStore) -> None:
    cid, data = block(1)

    def fail() -> None:
        with store.batch() as batch:
            batch.put(cid, data)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.has(cid)


def test_a_batch_commits_many_times(store: BlockStore) -> None:
    with store.batch() as batch:
        for number in range(5):
            batch.put(*block(number))
            batch.commit()
            assert store.has(block(number)[0])
        batch.commit()
    assert store.count() == 5


def test_put_says_whether_this_batch_wrote_it(store: BlockStore) -> None:
    cid, data = block(1)
    with store.batch() as batch:
        assert batch.put(cid, data)
        assert batch.put(cid, data)
        batch.commit()
    with store.batch() as batch:
        assert not batch.put(cid, data)
        assert not batch.put(cid, data)
        batch.commit()
    assert store.count() == 1


def test_many_put_at_once_are_as_those_put_one_by_one(store: BlockStore) -> None:
    """Among them one that is stored, one twice, and some too large to share a write."""
    stored, large = block(1), [(Cid.of(data), data) for data in (bytes(MIB), b"l" * MIB)]
    put(store, stored)
    many = [block(number) for number in (2, 1, 3, 2)] + large
    with store.batch() as batch:
        assert batch.put_all(many) == [True, False, True, True, True, True]
        assert batch.put_all([*many, block(4)])[-1]
        assert batch.put_all([]) == []
        assert batch.put_all([stored], anew=True) == [True]
        batch.commit()
    assert all(store.get(cid) == data for cid, data in [*many, block(4)])
    assert store.count() == 6


def test_those_put_at_once_that_have_no_room_take_none(open_store: Open) -> None:
    store = open_store(4 * MIB)
    before_bytes = store.used_bytes
    with store.batch() as batch, pytest.raises(NoRoom):
        batch.put_all([(Cid.of(data), data) for data in (bytes([n]) * MIB for n in range(5))])
    assert store.used_bytes - before_bytes < MIB
    assert store.count() == 0
    store.close()


def test_a_stored_block_costs_nothing_again(store: BlockStore) -> None:
    put(store, block(1))
    used = booked(store)
    put(store, block(1), block(1))
    assert booked(store) == used
    assert store.count() == 1


def test_cidv0_and_cidv1_of_the_same_bytes_are_one_block(store: BlockStore) -> None:
    v1, data = block(1, codec=DAG_PB)
    v0 = Cid(v1.multihash)
    put(store, (v0, data))
    assert v0.version == 0
    assert store.get(v1) == store.get(v0) == data
    assert store.has(Cid.of(data, RAW))
    assert list(store.cids()) == [v1]
    put(store, (v1, data))
    assert store.count() == 1


def test_any_buffer_may_be_put_and_reused(store: BlockStore) -> None:
    buffer = bytearray()
    with store.batch() as batch:
        for number in range(3):
            cid, data = block(number, 100_000)
            buffer[:] = data
            batch.put(cid, memoryview(buffer)[:] if number % 2 else bytearray(buffer))
        batch.commit()
    for number in range(3):
        cid, data = block(number, 100_000)
        assert store.get(cid) == data


@pytest.mark.parametrize("size", [0, 1, 2 * MIB])
def test_blocks_of_any_size(store: BlockStore, size: int) -> None:
    cid, data = block(1, size)
    put(store, (cid, data))
    assert store.get(cid) == data
    assert store.sizes([cid]) == [size]


def test_missing_keeps_order_and_repeats(store: BlockStore) -> None:
    blocks = [block(number, 10) for number in range(1200)]
    put(store, *blocks[::2])
    wanted = [cid for cid, _ in blocks]
    random.Random(3).shuffle(wanted)
    held = {cid for cid, _ in blocks[::2]}
    expected = [cid for cid in wanted if cid not in held]
    assert store.missing(wanted) == expected
    assert store.missing(expected[:1] * 2) == expected[:1] * 2
    assert store.missing([]) == []


def test_deleted_blocks_are_gone_and_may_come_again(store: BlockStore) -> None:
    empty = booked(store)
    blocks = [block(number) for number in range(600)]
    put(store, *blocks)
    store.delete([cid for cid, _ in blocks[:599]])
    assert store.count() == 1
    assert not store.has(blocks[0][0])
    assert store.has(blocks[599][0])
    store.delete([blocks[0][0], blocks[599][0], blocks[599][0]])
    assert store.count() == 0
    assert booked(store) == empty
    put(store, blocks[0])
    assert store.get(blocks[0][0]) == blocks[0][1]


def test_a_delete_during_a_batch_does_not_break_its_promise(store: BlockStore) -> None:
    cid, data = block(1)
    put(store, (cid, data))
    used = booked(store)
    with store.batch() as batch:
        batch.put(cid, data)
        store.delete([cid])
        batch.commit()
        assert store.get(cid) == data
    assert booked(store) == used
    store.delete([cid])
    assert not store.has(cid)


def test_batches_do_not_interfere(store: BlockStore) -> None:
    with store.batch() as kept:
        kept.put(*block(1))
        with store.batch() as dropped:
            dropped.put(*block(2))
            dropped.put(*block(1))
            kept.put(*block(3))
        kept.commit()
    assert store.get(block(1)[0]) == block(1)[1]
    assert not store.has(block(2)[0])
    assert store.has(block(3)[0])


def test_two_batches_store_the_same_block_once(store: BlockStore) -> None:
    with store.batch() as first, store.batch() as second:
        first.put(*block(1))
        second.put(*block(1))
        second.commit()
        first.commit()
    assert store.count() == 1
    assert store.get(block(1)[0]) == block(1)[1]
    store.delete([block(1)[0]])
    assert store.count() == 0


def test_nothing_of_a_whole_batch_is_there_before_its_commit(open_store: Open) -> None:
    store, blocks = open_store(MIB), [block(number, 2000) for number in range(50)]
    empty = booked(store)
    with store.batch(whole=True) as batch:
        for cid, data in blocks:
            assert batch.put(cid, data)
            assert batch.put(cid, data)
        assert store.count() == 0
        assert store.missing([cid for cid, _ in blocks]) == [cid for cid, _ in blocks]
    assert booked(store) == empty
    with store.batch(whole=True) as batch:
        for cid, data in blocks:
            batch.put(cid, data)
        batch.commit()
        for cid, data in blocks:
            assert store.get(cid) == data
    assert store.count() == 50


def test_a_whole_batch_is_committed_once(store: BlockStore) -> None:
    with store.batch(whole=True) as batch:
        batch.put(*block(1))
        batch.commit()
        with pytest.raises(LocalProtocolError):
            batch.put(*block(2))
        with pytest.raises(LocalProtocolError):
            batch.commit()
    assert store.count() == 1


def test_what_a_whole_batch_has_stays_until_it_is_left(store: BlockStore) -> None:
    """What it found stored and what it stored itself: so a claim can be written first."""
    (found, data), (new, more) = block(1), block(2)
    empty = booked(store)
    put(store, (found, data))
    with store.batch(whole=True) as batch:
        assert not batch.put(found, data)
        assert not batch.put(found, data)
        batch.put(new, more)
        store.delete([found, new])
        assert store.has(found)
        batch.commit()
        store.delete([found, new])
        assert store.get(found) == data
        assert store.get(new) == more
    store.delete([new])
    assert list(store.cids()) == [found]
    store.delete([found])
    assert booked(store) == empty


def test_a_batch_may_be_closed_twice(store: BlockStore) -> None:
    for whole in (False, True):
        batch = store.batch(whole=whole)
        batch.put(*block(1))
        batch.close()
        batch.close()
        with pytest.raises(LocalProtocolError):
            batch.put(*block(1))
    assert store.count() == 0


def test_threads_share_a_batch(store: BlockStore) -> None:
    """Three writers with overlapping blocks, a committer and a reader."""
    blocks = [block(number, 3000) for number in range(300)]
    failures: list[BaseException] = []

    def run(numbers: range) -> None:
        try:
            for number in numbers:
                batch.put(*blocks[number])
                if number % 50 == 0:
                    batch.commit()
                    assert store.get(blocks[number][0]) == blocks[number][1]
        except BaseException as error:
            failures.append(error)

    with store.batch() as batch:
        ranges = (range(200), range(299, 99, -1), range(50, 250))
        threads = [threading.Thread(target=run, args=(numbers,)) for numbers in ranges]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        batch.commit()
    assert failures == []
    assert store.count() == 300
    assert sorted(store.cids()) == sorted(cid for cid, _ in blocks)
    for cid, data in blocks:
        assert store.get(cid) == data


def test_cids_may_be_listed_while_blocks_come_and_go(store: BlockStore) -> None:
    blocks = [block(number, 10) for number in range(2500)]
    put(store, *blocks)
    listed = []
    for cid in store.cids():
        listed.append(cid)
        if len(listed) == 10:
            store.delete([listed[0]])
            put(store, block(9999))
    assert {cid for cid, _ in blocks} <= set(listed)


def test_deletes_and_puts_of_the_same_blocks_at_once(store: BlockStore) -> None:
    """Whatever the order, a commit is true when it returns, and the books balance after."""
    empty = booked(store)
    blocks = [block(number, 2000) for number in range(60)]
    failures: list[BaseException] = []
    held = threading.Lock()  # a commit and the look that follows it, against the next delete

    def putter(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(15):
                chosen = rng.sample(blocks, 12)
                with store.batch() as batch:
                    for cid, data in chosen:
                        batch.put(cid, data)
                    with held:
                        batch.commit()
                        assert store.missing([cid for cid, _ in chosen]) == []
        except BaseException as error:
            failures.append(error)

    def deleter() -> None:
        rng = random.Random(0)
        for _ in range(60):
            with held:
                store.delete([cid for cid, _ in rng.sample(blocks, 8)])

    threads = [threading.Thread(target=putter, args=(seed,)) for seed in (1, 2)]
    threads.append(threading.Thread(target=deleter))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    for cid in store.cids():
        store.get(cid)
    assert store.count() == len(list(store.cids()))
    store.delete([cid for cid, _ in blocks])
    assert store.count() == 0
    assert booked(store) == empty


def test_a_steady_stream_of_puts_does_not_starve_a_commit(store: BlockStore) -> None:
    stop = threading.Event()

    def stream(numbers: Iterator[int]) -> None:
        while not stop.is_set():
            batch.put(*block(next(numbers), 70_000))

    with store.batch() as batch:
        streams = (itertools.count(10**6), itertools.count(2 * 10**6))
        threads = [threading.Thread(target=stream, args=(numbers,)) for numbers in streams]
        for thread in threads:
            thread.start()
        for number in range(20):
            batch.put(*block(number))
            batch.commit()
            assert store.has(block(number)[0])
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
        batch.commit()
    assert store.has(block(10**6, 70_000)[0])


@pytest.mark.parametrize("whole", [False, True])
def test_a_block_put_anew_takes_the_place_of_the_stored_copy(open_store: Open, whole: bool) -> None:
    store = open_store(MIB)
    (cid, data), other = block(1, 100 * KIB), block(2)
    put(store, (cid, data), other)
    with store.batch(whole=whole) as batch:
        assert not batch.put(cid, data)
        assert batch.put(cid, data, anew=True)
        assert batch.put(cid, data)
        assert batch.put(cid, data, anew=True)
        assert not batch.put(*other)
        assert batch.renewed == set()
        assert store.get(cid) == data
        batch.commit()
        assert batch.renewed == {cid.multihash}
    assert store.get(cid) == data
    assert sorted(store.cids()) == sorted([cid, other[0]])
    assert store.count() == 2
    store.delete([cid, other[0]])
    assert (store.count(), booked(store)) == (0, 0)


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_put_anew_and_not_committed_changes_nothing(open_store: Open, whole: bool) -> None:
    store = open_store(MIB)
    cid, data = block(1)
    put(store, (cid, data))
    used = booked(store)
    with store.batch(whole=whole) as batch:
        batch.put(cid, data, anew=True)
    assert batch.renewed == set()
    assert (store.get(cid), store.count(), booked(store)) == (data, 1, used)
    with store.batch(store.reserve(500), whole=whole) as batch, pytest.raises(NoRoom):
        batch.put(cid, data, anew=True)


def test_two_batches_put_the_same_block_anew(store: BlockStore) -> None:
    cid, data = block(1)
    put(store, (cid, data))
    with store.batch() as first, store.batch(whole=True) as second:
        first.put(cid, data, anew=True)
        second.put(cid, data, anew=True)
        second.commit()
        first.commit()
    assert (store.get(cid), store.count()) == (data, 1)
    store.delete([cid])
    assert (store.count(), booked(store)) == (0, 0)


def test_a_block_that_is_gone_may_be_put_anew(store: BlockStore) -> None:
    cid, data = block(1)
    with store.batch() as batch:
        batch.put(cid, data, anew=True)
        batch.commit()
    assert (store.get(cid), store.count()) == (data, 1)
