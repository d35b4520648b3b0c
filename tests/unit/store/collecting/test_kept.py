"""Kept, Protections and the cache's rows, by value."""

from __future__ import annotations

import random

import pytest

from dhtstore.model.cid import Cid
from dhtstore.params import CACHE_ROOTS_MAX, CACHE_USE_WRITTEN_S
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.collecting.protections import Protections
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.tiers import cache as cache_table
from dhtstore.store.ledger.tiers.cache import Cache, CacheEntry

A, B, C = (Cid.of(each) for each in (b"a", b"b", b"c"))


def test_kept_has_what_was_added_once_and_nothing_else() -> None:
    kept, rng = Kept(), random.Random(1)
    some = [rng.randbytes(34) for _ in range(20_000)]
    for each in some[:10_000]:
        kept.add(each)
        kept.add(each)
    assert len(kept) == 10_000
    assert all(each in kept for each in some[:10_000])
    assert not any(each in kept for each in some[10_000:])


def test_kept_takes_digests_only_where_they_begin() -> None:
    """In one bucket the end of one and the beginning of the next make what was not added."""
    kept = Kept()
    first, second = bytes(8), bytes((0, 0, 7, 7, 7, 7, 7, 7))
    across = first[4:] + second[:4]
    kept.add(first)
    kept.add(second)
    assert across[:2] == first[:2], "the same bucket"
    assert across not in kept
    kept.add(across)
    assert (across in kept, len(kept)) == (True, 3)


def test_what_is_noted_counts_until_all_opened_before_are_closed() -> None:
    protections = Protections()
    protections.note((b"nobody asks",))
    assert b"nobody asks" not in protections
    first = protections.open()
    protections.note((b"a" * 8,))
    second = protections.open()
    protections.note((b"b" * 8,))
    second.close()
    assert (b"a" * 8 in protections, b"b" * 8 in protections) == (True, True)
    first.close()
    assert (b"a" * 8 in protections, b"b" * 8 in protections) == (False, False)


def test_the_first_that_is_closed_takes_what_it_noted_along() -> None:
    protections = Protections()
    first = protections.open()
    protections.note((b"a" * 8,))
    second = protections.open()
    protections.note((b"b" * 8,))
    first.close()
    first.close()
    assert (b"a" * 8 in protections, b"b" * 8 in protections) == (False, True)
    second.close()
    assert b"b" * 8 not in protections


def test_protections_that_are_full_hold_everything() -> None:
    protections = Protections(noted_max=2)
    opened = protections.open()
    for number in range(3):
        protections.note((bytes((number,)) * 8,))
    assert protections.full
    assert b"whatever" in protections
    opened.close()
    assert not protections.full
    assert b"whatever" not in protections


def test_the_cache_gives_its_roots_by_their_last_use() -> None:
    cache = Cache(MemoryKeyValue())
    cache.add(A, 10, 100.0)
    cache.add(B, 20, 50.0)
    cache.add(A, 5, 60.0)
    assert list(cache.oldest_first()) == [CacheEntry(B, 20, 50.0), CacheEntry(A, 15, 60.0)]
    assert cache.size_bytes() == 35
    cache.used(B, 50.0 + CACHE_USE_WRITTEN_S - 1)
    assert cache.get(B) == CacheEntry(B, 20, 50.0)
    cache.used(B, 50.0 + CACHE_USE_WRITTEN_S)
    assert [each.root for each in cache.oldest_first()] == [A, B]
    cache.used(C, 1.0)
    cache.drop([A, C])
    assert (cache.get(A), cache.get(C), cache.size_bytes()) == (None, None, 20)


def test_of_too_many_roots_the_oldest_use_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CACHE_ROOTS_MAX > 2
    monkeypatch.setattr(cache_table, "CACHE_ROOTS_MAX", 2)
    cache = Cache(MemoryKeyValue())
    for cid, used in ((A, 3.0), (B, 1.0), (C, 2.0)):
        cache.add(cid, 1, used)
    assert [each.root for each in cache.oldest_first()] == [C, A]


def test_a_damaged_row_of_the_cache_is_dropped() -> None:
    table = MemoryKeyValue()
    cache = Cache(table)
    cache.add(A, 10, 1.0)
    cache.add(B, 20, 2.0)
    table.write([(b"cache/" + A.raw, b"\xff")])
    assert [each.root for each in Cache(table).oldest_first()] == [B]


def test_names_shorter_than_a_digest_disturb_no_others() -> None:
    """Identity multihashes may be: one put every later entry of its bucket out of place."""
    kept, rng = Kept(), random.Random(1)
    short = [b"\0" + bytes([count]) + rng.randbytes(count) for count in range(6)]
    others = [b"\x12\x20" + rng.randbytes(30) + bytes(2) for _ in range(50)]
    for each in short + others:
        kept.add(each)
    assert all(each in kept for each in short + others)
    assert b"\x12\x20" + bytes([7]) * 30 + bytes(2) not in kept


def test_a_root_that_is_kept_gives_way_no_more() -> None:
    cache = Cache(MemoryKeyValue())
    cache.add(A, 1000, 1.0)
    assert cache.size_bytes() == 1000
    cache.kept(A)
    assert cache.size_bytes() == 0
    assert cache.get(A) is None
