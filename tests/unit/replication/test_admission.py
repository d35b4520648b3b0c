"""Who may use a disk: each rule and each refusal, with its code and its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy, Usage
from dhtstore.model.signing import attach
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    CLAIMS_PER_UNIT_MAX,
    FOREIGN_UNITS_MAX,
    GIB,
    OWNERS_MAX,
    REPLICAS_MAX,
    STORED_BLOCK_BYTES,
    UNIT_STORED_MAX_BYTES,
)
from dhtstore.replication.admission import (
    Accept,
    Admission,
    Demand,
    Refusal,
    is_at_home,
    judge,
)

NOW_UNIX_S = 1_000_000.0
OWN, FRIEND, STRANGER = (PublicKey(name * 32) for name in (b"o", b"f", b"s"))
RULE = Admission(Accept.ANYONE, OWN, frozenset([FRIEND]), 100_000, capacity_bytes=200_000)
POLICY = attach(Policy(STRANGER, b"root", 7, replicas=3, expires=0, removed=False), bytes(64))
ASKED = Demand(STRANGER, "192.0.2.0/24", 900, blocks=1, row_bytes=100, policy=POLICY)
KNOWN = Usage(owners=1, known=True, new=False)
FULL = Usage(GIB, GIB, GIB, OWNERS_MAX, OWNERS_MAX, used_bytes=GIB)


def change(policy: Policy, **fields: Any) -> Policy:
    return attach(structs.replace(policy, **fields), bytes(64))


def judged(
    accept: Accept = Accept.ANYONE,
    asked: Demand = ASKED,
    usage: Usage = KNOWN,
    known: int | None = None,
) -> Refusal | None:
    newest = None if known is None else change(POLICY, sequence=known)
    return judge(replace(RULE, accept=accept), asked, usage, now_unix_s=NOW_UNIX_S, newest=newest)


def code(refusal: Refusal | None) -> str:
    return refusal.code if refusal else ""


def of(owner: PublicKey, asked: Demand = ASKED) -> Demand:
    return replace(asked, owner=owner, policy=change(POLICY, owner=owner))


@pytest.mark.parametrize(
    ("accept", "own", "friend", "stranger"),
    [
        (Accept.MINE, "", "owner", "owner"),
        (Accept.OWNERS, "", "", "owner"),
        (Accept.NETWORK, "", "", ""),
        (Accept.ANYONE, "", "", ""),
    ],
)
def test_each_rule_for_each_kind_of_owner(
    accept: Accept, own: str, friend: str, stranger: str
) -> None:
    found = tuple(code(judged(accept, of(owner))) for owner in (OWN, FRIEND, STRANGER))
    assert found == (own, friend, stranger)


@pytest.mark.parametrize("accept", [Accept.MINE, Accept.OWNERS, Accept.NETWORK, Accept.ANYONE])
def test_ones_own_data_has_no_share(accept: Accept) -> None:
    assert judged(accept, of(OWN), FULL) is None


def test_where_the_operator_said_whose_data_is_taken_there_are_no_shares() -> None:
    full = replace(FULL, used_bytes=199_000)
    for accept, owner in ((Accept.NETWORK, STRANGER), (Accept.OWNERS, FRIEND)):
        assert judged(accept, of(owner), full) is None
        assert code(judged(accept, of(owner), replace(full, used_bytes=199_001))) == "room"


def one_more(usage: Usage, asked: Demand = ASKED) -> tuple[str, str]:
    """With so much in use, and with one byte more asked for."""
    more = replace(asked, stored_bytes=asked.stored_bytes + 1)
    return code(judged(asked=asked, usage=usage)), code(judged(asked=more, usage=usage))


def test_one_owner_has_its_quota_with_what_is_held_already() -> None:
    assert one_more(replace(KNOWN, owner_bytes=99_000)) == ("", "quota")


def test_one_origin_has_a_quarter_and_our_own_site_has_no_bound() -> None:
    usage = replace(KNOWN, origin_bytes=49_000)
    assert one_more(usage) == ("", "origin")
    assert one_more(usage, replace(ASKED, at_home=True)) == ("", "")


def test_the_last_tenth_is_for_the_nodes_own_owner() -> None:
    usage = replace(KNOWN, used_bytes=179_000)
    assert one_more(usage) == ("", "room")
    assert code(judged(asked=of(OWN), usage=replace(usage, used_bytes=199_999))) == ""


def test_owners_that_are_new_here_have_a_half_together_wherever_they_come_from() -> None:
    usage = Usage(newcomers_bytes=99_000)
    assert one_more(usage) == ("", "newcomer")
    assert one_more(usage, replace(ASKED, at_home=True)) == ("", "newcomer")
    assert one_more(replace(usage, known=True)) == ("", "newcomer")
    assert one_more(replace(usage, known=True, new=False)) == ("", "")


def test_owners_are_counted_too_since_each_costs_memory() -> None:
    assert code(judged(usage=Usage(newcomers=OWNERS_MAX // 2 - 1))) == ""
    for usage in (
        Usage(newcomers=OWNERS_MAX // 2),
        Usage(owners=OWNERS_MAX),
        Usage(origin_newcomers=OWNERS_MAX // 16),
    ):
        assert code(judged(usage=usage)) == "newcomer"
        assert code(judged(usage=replace(usage, known=True))) == ""


def test_units_are_counted_since_each_is_announced_for_ever() -> None:
    most = FOREIGN_UNITS_MAX
    for accept, usage, at_home in (
        (Accept.ANYONE, Usage(units=most), True),
        (Accept.NETWORK, Usage(units=most), False),
        (Accept.ANYONE, Usage(newcomers_units=most // 2), True),
        (Accept.ANYONE, replace(KNOWN, origin_units=most // 16), False),
    ):
        asked = replace(ASKED, at_home=at_home)
        assert code(judged(accept, asked, usage)) == "units"
        fewer = {
            name: getattr(usage, name) - 1
            for name in ("units", "newcomers_units", "origin_units")
            if getattr(usage, name)
        }
        assert code(judged(accept, asked, replace(usage, **fewer))) == ""
        assert code(judged(accept, of(OWN), usage)) == ""


def test_one_owner_claims_one_unit_for_so_many_roots_and_no_more() -> None:
    most = replace(KNOWN, roots=CLAIMS_PER_UNIT_MAX)
    for accept in (Accept.NETWORK, Accept.ANYONE):
        assert code(judged(accept, usage=replace(most, roots=CLAIMS_PER_UNIT_MAX - 1))) == ""
        assert code(judged(accept, usage=most)) == "claims"
    assert code(judged(Accept.NETWORK, of(OWN), most)) == ""


@pytest.mark.parametrize(
    ("stored", "blocks", "expected"),
    [
        (0, 0, "size"),
        (-1, 1, "size"),
        (100, 0, "size"),
        (100, -1, "size"),
        (STORED_BLOCK_BYTES, 1, ""),
        (STORED_BLOCK_BYTES - 1, 1, "size"),
        (10 * STORED_BLOCK_BYTES, 10, ""),
        (10 * STORED_BLOCK_BYTES, 11, "size"),
        (BLOCK_SIZE_MAX_BYTES + STORED_BLOCK_BYTES, 1, ""),
        (2 * BLOCK_SIZE_MAX_BYTES, 1, "size"),
        (UNIT_STORED_MAX_BYTES, 10_000, ""),
        (UNIT_STORED_MAX_BYTES + 1, 10_000, "size"),
    ],
)
def test_a_unit_takes_what_so_many_blocks_can_take(stored: int, blocks: int, expected: str) -> None:
    asked = replace(of(OWN), stored_bytes=stored, blocks=blocks)
    assert code(judged(Accept.NETWORK, asked)) == expected


@pytest.mark.parametrize(
    ("replicas", "expected"), [(1, ""), (REPLICAS_MAX, ""), (0, "policy"), (65, "policy")]
)
def test_replicas_are_bounded(replicas: int, expected: str) -> None:
    asked = replace(ASKED, policy=change(POLICY, replicas=replicas))
    assert code(judged(asked=asked)) == expected


@pytest.mark.parametrize(
    ("policy", "known", "expected"),
    [
        (change(POLICY, removed=True), None, "policy"),
        (change(POLICY, expires=int(NOW_UNIX_S)), None, "policy"),
        (change(POLICY, expires=int(NOW_UNIX_S) + 1), None, ""),
        (change(POLICY, owner=FRIEND), None, "policy"),
        (POLICY, 7, ""),
        (POLICY, 8, "policy"),
        (None, 8, ""),
    ],
)
def test_the_policy_must_be_in_force(
    policy: Policy | None, known: int | None, expected: str
) -> None:
    assert code(judged(asked=replace(ASKED, policy=policy), known=known)) == expected


def test_also_ones_own_policy_must_be_in_force() -> None:
    removed = replace(of(OWN), policy=change(POLICY, owner=OWN, removed=True))
    assert code(judged(Accept.MINE, removed)) == "policy"


usages = st.builds(
    Usage,
    *[st.integers(0, 200_000)] * 3,
    newcomers=st.sampled_from([0, OWNERS_MAX // 2]),
    known=st.booleans(),
    new=st.booleans(),
    roots=st.sampled_from([0, CLAIMS_PER_UNIT_MAX]),
    used_bytes=st.integers(0, 200_000),
)


@given(
    st.sampled_from(list(Accept)),
    st.sampled_from([OWN, FRIEND, STRANGER]),
    st.integers(STORED_BLOCK_BYTES, 200_000),
    usages,
    st.booleans(),
)
def test_a_refusal_says_why_and_a_smaller_unit_is_never_worse(
    accept: Accept, owner: PublicKey, stored: int, usage: Usage, at_home: bool
) -> None:
    asked = replace(of(owner), stored_bytes=stored, at_home=at_home)
    refusal = judged(accept, asked, usage)
    if refusal is None:
        smaller = replace(asked, stored_bytes=max(STORED_BLOCK_BYTES, stored // 2))
        less = replace(usage, owner_bytes=usage.owner_bytes // 2, origin_bytes=0)
        assert judged(accept, smaller, less) is None
    else:
        assert refusal.code in {"owner", "quota", "origin", "room", "newcomer", "claims"}
        assert len(refusal.reason) > 10


@pytest.mark.parametrize(
    ("remote", "own", "expected"),
    [
        ("127.0.0.1", [], True),
        ("::1", ["192.0.2.1"], True),
        ("10.1.2.3", ["10.200.0.1"], True),
        ("fd00::1", ["192.168.0.2"], True),
        ("10.1.2.3", ["8.8.8.8"], False),
        ("8.8.8.9", ["8.8.8.8"], True),
        ("8.8.9.9", ["8.8.8.8"], False),
        ("8.8.8.8", ["192.168.0.2"], False),
        ("2a00:1:2:3::1", ["2a00:1:2:4::1"], True),
        ("2a00:1:3::1", ["2a00:1:2:4::1"], False),
    ],
)
def test_our_own_site(remote: str, own: list[str], expected: bool) -> None:
    assert is_at_home(Address(remote, 1), [Address(host, 2) for host in own]) == expected
