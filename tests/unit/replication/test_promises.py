"""Bounds on what a holder promises: how many, how much for one owner, how much of what is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    CLAIM_ROW_BYTES,
    OFFERS_OPEN_MAX,
    OFFERS_PER_PEER_MAX,
    UNIT_OVERHEAD_DIVISOR,
)
from dhtstore.replication.admission import Refusal
from dhtstore.replication.promises import Promise, promised_bytes, too_many, too_much

SIGNATURE = b"s" * 64

NOBODY = (b"", b"")


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def promise(unit: int = 0, size: int = 0, owner: int = 0, peer: int = 0, root: int = 0) -> Promise:
    cid = Cid.of(b"root %d" % root)
    policy = attach(Policy(key(owner), cid.raw, 1, 3, expires=0, removed=False), SIGNATURE)
    return Promise(key(peer), Unit.of((Cid.of(b"unit %d" % unit),), size), policy)


POLICY_BYTES = len(promise().policy.packed)
ROW_BYTES = CLAIM_ROW_BYTES + 36 + 2 * POLICY_BYTES


def test_room_is_for_the_content_what_holds_it_together_and_the_claim() -> None:
    size = 64 * UNIT_OVERHEAD_DIVISOR
    one = promise(size=size)
    assert one.row_bytes == ROW_BYTES
    assert one.room_bytes == size + 64 + BLOCK_SIZE_MAX_BYTES + ROW_BYTES


def test_a_unit_counts_once_and_each_claim_has_its_row() -> None:
    promises = [promise(1, 100, root=1), promise(1, 100, root=2), promise(2, 10, root=1)]
    assert promised_bytes(promises, key(0), but=NOBODY) == 110 + 3 * ROW_BYTES
    assert promised_bytes(promises, key(9), but=NOBODY) == 0


def test_what_is_offered_again_does_not_count_twice() -> None:
    promises = [promise(1, 100, root=1), promise(1, 100, root=2), promise(2, 10, root=1)]
    assert promised_bytes(promises, key(0), but=promises[0].claim) == 10 + 2 * ROW_BYTES


@pytest.mark.parametrize(
    ("waiting", "refused"),
    [
        ([], False),
        ([promise(peer=0)] * (OFFERS_PER_PEER_MAX - 1), False),
        ([promise(peer=0)] * OFFERS_PER_PEER_MAX, True),
        ([promise(peer=n) for n in range(1, OFFERS_OPEN_MAX)], False),
        ([promise(peer=n) for n in range(1, OFFERS_OPEN_MAX + 1)], True),
    ],
)
def test_one_peer_and_all_peers_have_a_bound(waiting: list[Promise], refused: bool) -> None:
    refusal = too_many(waiting, key(0))
    assert (refusal is not None) == refused
    assert refusal is None or refusal.code == "busy"


@pytest.mark.parametrize(
    ("reserved", "free", "refused"),
    [(50, 100, False), (51, 100, True), (0, 0, False), (1, 0, True)],
)
def test_half_of_what_is_left_stays_out_of_reach(reserved: int, free: int, refused: bool) -> None:
    refusal = too_much(reserved, free)
    assert (refusal is None) != refused
    assert isinstance(refusal, Refusal | None)


some = st.lists(
    st.builds(
        promise,
        st.integers(0, 5),
        st.just(7),
        owner=st.integers(0, 2),
        root=st.integers(0, 2),
    )
)


@given(some, st.builds(promise, st.integers(0, 5), st.just(7), root=st.integers(0, 2)))
def test_one_more_promise_costs_its_owner_its_row_and_its_content_if_new(
    promises: list[Promise], one: Promise
) -> None:
    before = promised_bytes(promises, key(0), but=NOBODY)
    more = promised_bytes([*promises, one], key(0), but=NOBODY) - before
    units = {each.unit.name for each in promises if each.policy.owner == key(0)}
    assert more == one.row_bytes + (0 if one.unit.name in units else one.unit.size_bytes)
