"""Who may use a disk: each rule and each refusal, with its code and its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change

from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy
from dhtstore.params import GIB, REPLICAS_MAX, UNIT_SIZE_MAX_BYTES, UNIT_SLACK_BYTES
from dhtstore.replication.admission import Accept, Admission, Refusal, judge

NOW_UNIX_S = 1_000_000.0
OWN, FRIEND, STRANGER = (PublicKey(name * 32) for name in (b"o", b"f", b"s"))
RULE = Admission(Accept.ANYONE, OWN, frozenset([FRIEND]), owner_quota_bytes=1000)
POLICY = Policy(STRANGER, b"root", sequence=7, replicas=3, expires=0, removed=False)
UNIT_LIMIT_BYTES = UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES


def judged(
    accept: Accept,
    policy: Policy = POLICY,
    size: int = 10,
    used: int = 0,
    known: int | None = None,
) -> Refusal | None:
    rule = replace(RULE, accept=accept)
    newest = None if known is None else change(policy, sequence=known)
    return judge(rule, policy, size, used, now_unix_s=NOW_UNIX_S, newest=newest)


def code(refusal: Refusal | None) -> str:
    return refusal.code if refusal else ""


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
    owners = (OWN, FRIEND, STRANGER)
    found = tuple(code(judged(accept, change(POLICY, owner=owner))) for owner in owners)
    assert found == (own, friend, stranger)


@pytest.mark.parametrize(
    ("used", "size", "expected"),
    [(0, 1000, ""), (0, 1001, "quota"), (990, 10, ""), (990, 11, "quota"), (1000, 0, "")],
)
def test_the_quota_counts_what_is_held_already(used: int, size: int, expected: str) -> None:
    assert code(judged(Accept.ANYONE, size=size, used=used)) == expected


@pytest.mark.parametrize("accept", [Accept.MINE, Accept.OWNERS, Accept.NETWORK, Accept.ANYONE])
def test_ones_own_data_has_no_quota(accept: Accept) -> None:
    assert judged(accept, change(POLICY, owner=OWN), size=GIB, used=100 * GIB) is None


def test_the_network_shares_the_whole_capacity() -> None:
    assert judged(Accept.NETWORK, size=GIB, used=100 * GIB) is None


@pytest.mark.parametrize(
    ("size", "expected"), [(UNIT_LIMIT_BYTES, ""), (UNIT_LIMIT_BYTES + 1, "size"), (-1, "size")]
)
def test_a_unit_has_a_size_units_may_have(size: int, expected: str) -> None:
    assert code(judged(Accept.NETWORK, size=size)) == expected


@pytest.mark.parametrize(
    ("replicas", "expected"), [(1, ""), (REPLICAS_MAX, ""), (0, "policy"), (65, "policy")]
)
def test_replicas_are_bounded(replicas: int, expected: str) -> None:
    assert code(judged(Accept.ANYONE, change(POLICY, replicas=replicas))) == expected


@pytest.mark.parametrize(
    ("policy", "known", "expected"),
    [
        (change(POLICY, removed=True), None, "policy"),
        (change(POLICY, expires=int(NOW_UNIX_S)), None, "policy"),
        (change(POLICY, expires=int(NOW_UNIX_S) + 1), None, ""),
        (POLICY, 7, ""),
        (POLICY, 8, "policy"),
    ],
)
def test_the_policy_must_be_in_force(policy: Policy, known: int, expected: str) -> None:
    assert code(judged(Accept.ANYONE, policy, known=known)) == expected


def test_also_ones_own_policy_must_be_in_force() -> None:
    assert code(judged(Accept.MINE, change(POLICY, owner=OWN, removed=True))) == "policy"


@given(
    st.sampled_from(list(Accept)),
    st.sampled_from([OWN, FRIEND, STRANGER]),
    st.integers(-1, 2 * UNIT_LIMIT_BYTES),
    st.integers(0, 2000),
    st.none() | st.integers(0, 10),
    st.integers(-1, 100),
    st.booleans(),
)
def test_a_refusal_says_why_and_a_smaller_unit_is_never_worse(
    accept: Accept,
    owner: PublicKey,
    size: int,
    used: int,
    known: int | None,
    replicas: int,
    removed: bool,
) -> None:
    policy = change(POLICY, owner=owner, replicas=replicas, removed=removed)
    refusal = judged(accept, policy, size, used, known)
    if refusal is None:
        assert judged(accept, policy, size // 2, used // 2, known) is None
    else:
        assert refusal.code in {"size", "policy", "owner", "quota"}
        assert len(refusal.reason) > 10
