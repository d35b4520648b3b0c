"""Bounds on what a holder promises: how many, how much for one owner, how much of what is left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.policy import Usage
from dhtstore.params import (
    KIB,
    MIB,
    OFFERS_OPEN_MAX,
    OFFERS_PER_ORIGIN_MAX,
    OFFERS_PER_PEER_MAX,
    PROMISE_SLACK_BYTES,
)
from dhtstore.replication.promises import Promise, too_many, too_much, with_promised


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def promise(
    unit: int = 0,
    stored: int = MIB,
    owner: int = 0,
    origin: str = "192.0.2.0/24",
    peer: int = 0,
    *,
    new: bool = True,
    at_home: bool = False,
    own: bool = False,
) -> Promise:
    dht = DhtKey(unit.to_bytes(20, "big"))
    return Promise(key(peer), origin, key(owner), dht, stored, 1, new, at_home, own)


ROW_BYTES = promise().row_bytes


def added(promises: Sequence[Promise], one: Promise) -> tuple[int, int, int]:
    usage = with_promised(Usage(), promises, one)
    return usage.owner_bytes, usage.origin_bytes, usage.newcomers_bytes


def test_room_is_for_what_was_offered_and_the_claim_and_nothing_is_guessed() -> None:
    assert promise(stored=64).room_bytes == 64 + ROW_BYTES + PROMISE_SLACK_BYTES
    more = promise(stored=10 * MIB).room_bytes - promise(stored=MIB).room_bytes
    assert more == 9 * MIB
    assert PROMISE_SLACK_BYTES + ROW_BYTES < 32 * KIB


def test_what_is_promised_counts_for_its_owner_its_origin_and_newcomers() -> None:
    one = promise(9)
    promises = [
        promise(1, 100),
        promise(2, 10, origin="198.51.100.0/24"),
        promise(3, 1000, owner=1),
        promise(4, 5000, owner=2, new=False),
    ]
    owner, origin, newcomers = added(promises, one)
    assert owner == 110 + 2 * ROW_BYTES
    assert origin == 6100 + 3 * ROW_BYTES
    assert newcomers == 1110 + 3 * ROW_BYTES


def test_what_is_offered_again_does_not_count_twice_but_the_larger_counts() -> None:
    promises = [promise(1, 100), promise(1, 10)]
    assert added(promises, promise(1)) == (0, 0, 0)
    assert added(promises, promise(2))[0] == 100 + ROW_BYTES
    assert added(promises, promise(1, owner=1))[1] == 100 + ROW_BYTES, "another owner's"


def test_what_is_there_already_stays() -> None:
    usage = with_promised(Usage(1, 2, 3, 4, 5, 6, roots=7), [promise(1, 10)], promise(2))
    assert (usage.owner_bytes, usage.owners, usage.roots) == (11 + ROW_BYTES, 4, 7)


def from_many(count: int) -> list[Promise]:
    """Of so many peers and origins."""
    return [promise(peer=n, origin=f"origin {n}") for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("promises", "refused"),
    [
        ([], False),
        ([promise(peer=0)] * (OFFERS_PER_PEER_MAX - 1), False),
        ([promise(peer=0)] * OFFERS_PER_PEER_MAX, True),
        ([promise(peer=n) for n in range(1, OFFERS_PER_ORIGIN_MAX)], False),
        ([promise(peer=n) for n in range(1, OFFERS_PER_ORIGIN_MAX + 1)], True),
        (from_many(OFFERS_OPEN_MAX - 1), False),
        (from_many(OFFERS_OPEN_MAX), True),
        ([promise(own=True)] * OFFERS_OPEN_MAX, False),
    ],
)
def test_a_peer_an_origin_and_all_have_a_bound(promises: list[Promise], refused: bool) -> None:
    refusal = too_many(promises, promise())
    assert (refusal.code if refusal else "") == ("busy" if refused else "")
    assert too_many(promises, promise(own=True)) is None


def test_our_own_site_is_bounded_by_peer_and_in_all() -> None:
    many = [promise(peer=n) for n in range(1, OFFERS_PER_ORIGIN_MAX + 1)]
    assert too_many(many, promise(at_home=True)) is None
    assert too_many([promise()] * OFFERS_PER_PEER_MAX, promise(at_home=True)) is not None


def code(promises: list[Promise], one: Promise, free_rooms: float) -> str:
    refusal = too_much(promises, one, int(free_rooms * promise().room_bytes))
    return refusal.code if refusal else ""


def test_several_offers_of_one_origin_leave_three_quarters_of_what_is_left() -> None:
    elsewhere = promise(origin="198.51.100.0/24")
    assert code([promise()], promise(), 8) == ""
    assert code([promise()], promise(), 7.99) == "room"
    assert code([elsewhere, elsewhere], promise(), 3) == ""


def test_a_single_one_may_be_as_large_as_what_is_left() -> None:
    """Whether it fits, the store tells; and what it reserves gives way to our own puts."""
    assert code([], promise(), 1) == ""
    assert code([promise(origin="elsewhere")], promise(), 1) == ""


def test_our_own_site_and_our_own_owner_have_no_share() -> None:
    at_home, own = promise(at_home=True), promise(own=True)
    assert code([promise(), promise()], at_home, 3) == ""
    assert code([promise(), promise()], own, 0) == ""


def test_a_refusal_says_of_what_the_room_is() -> None:
    refusal = too_much([promise()], promise(), 7 * promise().room_bytes)
    assert refusal is not None
    assert refusal.reason.startswith("open offers from the network this comes from have reserved 1")
    assert " MB of the 7" in refusal.reason


some = st.lists(
    st.builds(
        promise,
        st.integers(0, 5),
        st.integers(1, 1000),
        owner=st.integers(0, 2),
        origin=st.sampled_from(["a", "b"]),
        new=st.booleans(),
    )
)


@given(some, st.builds(promise, st.integers(0, 5), st.integers(1, 1000), origin=st.just("a")))
def test_splitting_a_share_over_offers_gains_nothing(promises: list[Promise], one: Promise) -> None:
    """Whatever is promised, the units of an owner and of an origin are all in what it is judged
    by, each at the largest that was offered of it."""
    judged_by = with_promised(Usage(), promises, one)
    for same, found in (
        ([p for p in promises if p.owner == one.owner], judged_by.owner_bytes),
        ([p for p in promises if p.origin == one.origin], judged_by.origin_bytes),
        ([p for p in promises if p.new], judged_by.newcomers_bytes),
    ):
        units = {(p.owner, p.key) for p in same} - {(one.owner, one.key)}
        largest = [max(p.stored_bytes for p in same if (p.owner, p.key) == u) for u in units]
        assert found == sum(largest) + len(units) * ROW_BYTES
