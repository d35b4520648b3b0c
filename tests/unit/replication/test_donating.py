"""Donated room: for what is short of copies, the last of it for what has fewest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Usage
from dhtstore.replication.admission import (
    Accept,
    Admission,
    Demand,
    judge,
    room_for_others_bytes,
)
from dhtstore.replication.donating import Donation, too_safe

OWN, STRANGER = PublicKey(b"o" * 32), PublicKey(b"s" * 32)
RULE = Admission(Accept.NETWORK, OWN, frozenset(), 0, 1_000_000, donated_bytes=400_000)
ASKED = Demand(STRANGER, "10.0.0.0/24", 10_000, 1, 100)


def refused(asked: Demand, used_bytes: int, rule: Admission = RULE) -> str:
    refusal = judge(rule, asked, Usage(used_bytes=used_bytes), now_unix_s=0.0)
    return "" if refusal is None else refusal.reason


def test_a_put_gets_what_is_not_donated_and_what_is_brought_under_a_grant_all() -> None:
    granted = replace(ASKED, granted=True)
    assert refused(ASKED, 500_000) == refused(granted, 500_000) == ""
    assert refused(ASKED, 595_000).endswith(
        "what is left here is for what is short of copies, and for this node's own owner"
    )
    assert refused(granted, 595_000) == ""
    assert refused(granted, 995_000) != ""
    assert refused(replace(ASKED, owner=OWN), 595_000) == ""


def test_where_anyone_may_store_the_owners_part_is_left_beside_what_is_donated() -> None:
    rule = replace(RULE, accept=Accept.ANYONE)
    assert room_for_others_bytes(rule) == 500_000
    assert room_for_others_bytes(rule, granted=True) == 900_000


def test_what_is_donated_is_filled_last() -> None:
    assert Donation.of(RULE, 0) == Donation(0, 400_000)
    assert Donation.of(RULE, 700_000) == Donation(100_000, 400_000)
    assert Donation.of(RULE, 2_000_000) == Donation(400_000, 400_000)
    assert Donation.of(replace(RULE, donated_bytes=0), 700_000).total_bytes == 0
    assert Donation.of(replace(RULE, donated_bytes=10**9), 10).total_bytes == 1_000_000


@pytest.mark.parametrize(
    ("used_bytes", "live", "taken"),
    [
        (0, 3, True),  # it takes nothing of what is donated
        (10, 2, True),
        (10, 3, False),
        (49, 2, True),
        (50, 2, False),
        (50, 1, True),
        (99, 1, True),
        (100, 1, False),
        (100, 0, True),
    ],
)
def test_with_three_wanted_the_second_half_is_for_what_has_one_copy(
    used_bytes: int, live: int, taken: bool
) -> None:
    refusal = too_safe(Donation(used_bytes, 100), live, 3)
    assert (refusal is None) == taken
    assert refusal is None or refusal.code == "donated"


@given(st.integers(1, 100), st.integers(0, 15), st.integers(2, 16))
def test_who_has_fewer_copies_is_never_kept_out_by_who_has_more(
    used_bytes: int, live: int, wanted: int
) -> None:
    donation = Donation(used_bytes, 100)
    if too_safe(donation, live, wanted) is None:
        assert live < wanted
        assert all(too_safe(donation, fewer, wanted) is None for fewer in range(live))
        assert too_safe(Donation(used_bytes - 1, 100), live, wanted) is None
