"""Receive buffers: lent, given back, and never lent while anybody sees them."""

from __future__ import annotations

import pytest

from dhtstore.node.links.buffers import BufferPool, Lease

SIZE = 64


def buffer_of(lease: Lease) -> int:
    return id(lease.view.obj)


def test_a_buffer_that_was_given_back_is_lent_again() -> None:
    pool = BufferPool(SIZE, 4)
    lease = pool.lend(SIZE)
    first = buffer_of(lease)
    lease.release()
    again = pool.lend(SIZE)
    assert buffer_of(again) == first
    assert len(again.view) == SIZE


def test_a_buffer_that_is_still_lent_is_not_lent_again() -> None:
    pool = BufferPool(SIZE, 4)
    leases = [pool.lend(SIZE) for _ in range(10)]
    assert len({buffer_of(lease) for lease in leases}) == 10


def test_giving_back_twice_is_giving_back_once() -> None:
    pool = BufferPool(SIZE, 4)
    lease = pool.lend(SIZE)
    lease.release()
    lease.release()
    one, other = pool.lend(SIZE), pool.lend(SIZE)
    lease.release()
    third = pool.lend(SIZE)
    assert len({buffer_of(each) for each in (one, other, third)}) == 3


def test_what_is_given_back_while_somebody_reads_it_is_not_lent_again() -> None:
    pool = BufferPool(SIZE, 4)
    lease = pool.lend(SIZE)
    lease.view[:] = b"a" * SIZE
    part = lease.view[10:20]
    lease.release()
    pool.lend(SIZE).view[:] = b"b" * SIZE
    assert bytes(part) == b"a" * 10


def test_a_released_lease_shows_nothing() -> None:
    lease = BufferPool(SIZE, 4).lend(SIZE)
    lease.release()
    assert len(lease.view) == 0


def test_no_more_buffers_are_kept_than_agreed() -> None:
    pool = BufferPool(SIZE, 2)
    for lease in [pool.lend(SIZE) for _ in range(5)]:
        lease.release()
    assert len(pool._unused) == 2


@pytest.mark.parametrize("size_bytes", [0, 1, SIZE - 1, SIZE + 1])
def test_other_sizes_are_lent_once_and_not_kept(size_bytes: int) -> None:
    pool = BufferPool(SIZE, 2)
    lease = pool.lend(size_bytes)
    assert len(lease.view) == size_bytes
    lease.release()
    assert not pool._unused
