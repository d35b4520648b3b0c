"""CARs come out as they went in, and no damage to one goes by or does anything but be told."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.content.car.reader import CarBlock
from dhtstore.content.dag import frontier
from dhtstore.errors import MalformedCar
from dhtstore.model.cid import DAG_PB, Cid
from tests.cars import WholeDag, car_of, exported, read_car, wrapped
from tests.property.test_ordered_walk import tree

BLOCKS = st.lists(st.tuples(st.binary(max_size=300), st.sampled_from((0x55, DAG_PB))), max_size=8)


def named(blocks: list[tuple[bytes, int]]) -> list[tuple[Cid, bytes]]:
    return [(Cid.of(data, codec), data) for data, codec in blocks]


@settings(max_examples=100, deadline=None)
@given(BLOCKS, BLOCKS, st.integers(1, 400), st.booleans())
def test_round_trip(
    roots: list[tuple[bytes, int]], blocks: list[tuple[bytes, int]], piece_bytes: int, v2: bool
) -> None:
    cids = [cid for cid, _ in named(roots)]
    raw = car_of(cids, named(blocks))
    read_roots, found = read_car(wrapped(raw, padding=7) if v2 else raw, piece_bytes)
    assert list(read_roots) == cids
    assert [(each.cid, each.data) for each in found if isinstance(each, CarBlock)] == named(blocks)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.booleans())
def test_the_same_dag_is_the_same_file_whatever_arrives_first(
    seed: int, limit: int, tight: bool
) -> None:
    """Also where so little of it may be held that blocks are read again."""
    dag = WholeDag()
    root = tree(dag, Random(seed)).cid
    with pytest.MonkeyPatch.context() as patched:
        if tight:
            patched.setattr(frontier, "WALK_HELD_MAX_BYTES", 4000)
        got = exported(dag, [root], limit, seed)
    assert got == exported(dag, [root], 1)
    cids = [each.cid for each in read_car(got)[1] if isinstance(each, CarBlock)]
    assert len(cids) == len(set(cids))
    assert cids == depth_first(dag, root, [])


def depth_first(dag: WholeDag, cid: Cid, met: list[Cid]) -> list[Cid]:
    """As a walk says it that has all blocks at hand and all the memory in the world."""
    if cid.inlined is None and cid not in met:
        met.append(cid)
        for link in dag.read(cid).links:
            depth_first(dag, link.cid, met)
    return met


@pytest.mark.parametrize("v2", [False, True])
def test_cut_off_anywhere_it_is_refused_and_ends_between_two_blocks_unnoticed(v2: bool) -> None:
    """That shows when a block is missing below a root; of version 2 it is told."""
    blocks = named([(b"one", 0x55), (b"", 0x55), (b"three" * 20, 0x55)])
    raw = car_of([blocks[0][0]], blocks)
    whole = wrapped(raw) if v2 else raw
    unnoticed = 0
    for end in range(len(whole)):
        try:
            read_car(whole[:end])
        except MalformedCar:
            continue
        unnoticed += 1
    assert unnoticed == (0 if v2 else len(blocks))


def test_a_flipped_bit_is_refused_or_changes_no_block() -> None:
    rng = Random(5)
    blocks = named([(b"one", 0x55), (b"", DAG_PB), (rng.randbytes(90), 0x55)])
    for raw in (car_of([blocks[0][0]], blocks), wrapped(car_of([], blocks), padding=3, index=b"i")):
        for at in range(8 * len(raw)):
            damaged = bytearray(raw)
            damaged[at // 8] ^= 1 << at % 8
            with suppress(MalformedCar):
                for each in read_car(bytes(damaged))[1]:
                    assert not isinstance(each, CarBlock) or each.cid.matches(each.data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(raw: bytes, piece_bytes: int) -> None:
    for each in (raw, b"\x11\xa2" + raw, wrapped(raw)):
        with suppress(MalformedCar):
            read_car(each, piece_bytes)
